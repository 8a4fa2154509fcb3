//! PIN and PUK as the card itself counts them: the contract says what quorate tells, this says what it does to the card.

use quorate::token::TokenError;
use quorate_hw_tests::contract::{PIN, PUK, WRONG};

use super::support::{FIRMWARE, SERIAL, own_token, pin, puk, with_card};

#[test]
fn only_guesses_cost_tries_and_each_costs_one() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        let left = || bench.card().tries_left();
        token.verify_pin(&pin(WRONG)).expect_err("a wrong PIN");
        assert_eq!(left(), (2, 3));
        for _ in 0..3 {
            token.pin_tries().expect("counting needs nothing");
            token.puk_tries().expect("counting needs nothing");
            token.pin_verified().expect("asking needs nothing");
            token.factory_codes().expect("asking needs nothing");
            token.keys().expect("listing needs nothing");
        }
        assert_eq!(left(), (2, 3));
        token.change_puk(&puk(WRONG), &puk("99999999")).expect_err("a wrong PUK");
        assert_eq!(left(), (2, 2));
        token.change_pin(&pin(WRONG), &pin("999999")).expect_err("a wrong PIN");
        assert!(matches!(token.change_pin(&pin(WRONG), &pin("999999")), Err(TokenError::PinBlocked)));
        assert_eq!(left(), (0, 2));
        token.unblock_pin(&puk(PUK), &pin(PIN)).expect("the right PUK");
        assert_eq!(left(), (3, 3));
    });
}
