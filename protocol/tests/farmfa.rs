//! farMFA shares: published ones, ones of independent dealers, and properties over two dealers written for this test
//! with other arithmetic than the code under test.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use num_bigint::BigUint;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use quorate_protocol::farmfa::{Consistency, FarmfaError, Layout, Share, combine, consistent};
use quorate_protocol::otp::{OtpError, OtpSecret, Parameters};

/// What a test dealer draws: bytes from a seed, enough for any coefficient.
struct Draw(u64);

impl Draw {
    /// xorshift64*: tests need variety, not secrecy.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Splits as Vault does. Multiplies by logarithms of the generator 3.
fn deal_vault(secret: &[u8], n: usize, threshold: usize, draw: &mut Draw) -> Vec<String> {
    let (mut exp, mut log, mut power) = ([0u8; 255], [0usize; 256], 1u8);
    for (i, slot) in exp.iter_mut().enumerate() {
        *slot = power;
        log[usize::from(power)] = i;
        // Times 3 is times 2 plus once; 0x11b reduces.
        power ^= (power << 1) ^ if power & 0x80 == 0 { 0 } else { 0x1b };
    }
    let multiply = |a: u8, b: u8| match (a, b) {
        (0, _) | (_, 0) => 0,
        _ => exp[(log[usize::from(a)] + log[usize::from(b)]) % 255],
    };
    let mut xs: Vec<u8> = (1..=255).collect();
    for i in (1..xs.len()).rev() {
        xs.swap(i, usize::from(draw.byte()) % (i + 1));
    }
    let polynomials: Vec<Vec<u8>> =
        secret.iter().map(|byte| std::iter::once(*byte).chain((1..threshold).map(|_| draw.byte())).collect()).collect();
    let value = |polynomial: &Vec<u8>, x| polynomial.iter().rev().fold(0, |sum, c| multiply(sum, x) ^ c);
    let share = |x: u8| polynomials.iter().map(|polynomial| value(polynomial, x)).chain([x]).collect::<Vec<u8>>();
    xs[..n].iter().map(|x| STANDARD.encode(share(*x))).collect()
}

fn prime() -> BigUint {
    (BigUint::from(1u8) << 256u32) - 189u8
}

/// Splits as SSSA does: every share has an x of its own for every chunk.
fn deal_sssa(secret: &[u8], n: usize, threshold: usize, draw: &mut Draw) -> Vec<String> {
    let mut random = || BigUint::from_slice(&[0; 8].map(|_: u32| (draw.next() >> 32) as u32)) % prime();
    let mut shares = vec![String::new(); n];
    for chunk in secret.chunks(32) {
        let mut padded = chunk.to_vec();
        padded.resize(32, 0);
        let polynomial: Vec<BigUint> =
            std::iter::once(BigUint::from_bytes_be(&padded)).chain((1..threshold).map(|_| random())).collect();
        for share in &mut shares {
            let x = random();
            let y = polynomial.iter().rev().fold(BigUint::ZERO, |sum, c| (sum * &x + c) % prime());
            share.push_str(&number(&x));
            share.push_str(&number(&y));
        }
    }
    shares
}

fn number(value: &BigUint) -> String {
    let bytes = value.to_bytes_be();
    let mut padded = vec![0; 32 - bytes.len()];
    padded.extend(bytes);
    URL_SAFE.encode(padded)
}

fn deal(layout: Layout, secret: &str, n: usize, threshold: usize, seed: u64) -> Vec<String> {
    let draw = &mut Draw(seed | 1);
    match layout {
        Layout::Vault => deal_vault(secret.as_bytes(), n, threshold, draw),
        Layout::Sssa => deal_sssa(secret.as_bytes(), n, threshold, draw),
    }
}

fn parse(texts: &[String]) -> Vec<Share> {
    texts.iter().map(|text| Share::parse(text).unwrap()).collect()
}

/// Adds to the y byte at `position` of a Vault share, or to the y of a chunk of an SSSA share, or moves its x.
fn alter(layout: Layout, text: &str, position: usize, by: u8, move_x: bool) -> String {
    match layout {
        Layout::Vault => {
            let mut bytes = STANDARD.decode(text).unwrap();
            let y = bytes.len() - 1;
            bytes[position % y] ^= by;
            STANDARD.encode(bytes)
        }
        Layout::Sssa => {
            let mut numbers: Vec<String> =
                text.as_bytes().chunks(44).map(|number| String::from_utf8(number.to_vec()).unwrap()).collect();
            let chosen = position % (numbers.len() / 2) * 2 + usize::from(!move_x);
            let value = BigUint::from_bytes_be(&URL_SAFE.decode(&numbers[chosen]).unwrap());
            numbers[chosen] = number(&((value + by) % prime()));
            numbers.concat()
        }
    }
}

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[test]
fn deals_of_others_are_rebuilt() {
    let vectors: serde_json::Value = serde_json::from_str(include_str!("vectors/farmfa.json")).unwrap();
    let deals = vectors["deals"].as_array().unwrap();
    assert_eq!(deals.len(), 3);
    for deal in deals {
        let threshold = usize::try_from(deal["threshold"].as_u64().unwrap()).unwrap();
        let texts: Vec<String> =
            deal["shares"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
        let layout = if deal["layout"] == "vault" { Layout::Vault } else { Layout::Sssa };
        let shares = parse(&texts);
        assert!(shares.iter().all(|share| share.layout() == layout));
        let secret = combine(&shares, threshold).unwrap();
        assert_eq!(secret.to_base32().as_str(), deal["secret"].as_str().unwrap(), "{}", deal["source"]);
        // From the other end: other shares, the same secret.
        let last: Vec<Share> = parse(&texts.iter().rev().take(threshold).cloned().collect::<Vec<_>>());
        assert_eq!(combine(&last, threshold).unwrap(), secret);
    }
}

#[test]
fn a_rebuilt_secret_has_farmfas_parameters() {
    let shares = parse(&deal(Layout::Vault, SECRET, 3, 2, 1));
    let secret = combine(&shares[1..], 2).unwrap();
    assert_eq!(secret, OtpSecret::from_base32(SECRET).unwrap());
    assert_eq!(secret.parameters(), Parameters::default());
}

#[test]
fn lower_case_padding_and_a_line_end_are_what_people_typed() {
    for layout in [Layout::Vault, Layout::Sssa] {
        for typed in [
            "jbswy3dpehpk3pxpjbswy3dpehpk3pxp",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPGE======",
        ] {
            let shares = parse(&deal(layout, typed, 2, 2, 7));
            assert_eq!(combine(&shares, 2).unwrap(), OtpSecret::from_base32(typed).unwrap());
        }
    }
}

#[test]
fn what_is_no_share_is_refused() {
    let vault = deal(Layout::Vault, SECRET, 1, 2, 3).remove(0);
    let sssa = deal(Layout::Sssa, SECRET, 1, 2, 3).remove(0);
    let zero = number(&BigUint::ZERO);
    let one = number(&BigUint::from(1u8));
    for (text, error) in [
        (String::new(), FarmfaError::Malformed),
        ("=".into(), FarmfaError::Malformed),
        ("not a share".into(), FarmfaError::Malformed),
        ("AQ==".into(), FarmfaError::Malformed),
        (vault[..vault.len() - 1].into(), FarmfaError::Malformed),
        (vault.replace(|c: char| c.is_ascii_digit(), "-"), FarmfaError::Malformed),
        (sssa[..44].into(), FarmfaError::Malformed),
        (sssa[1..].into(), FarmfaError::Malformed),
        (sssa.replacen(|c: char| c.is_ascii_alphabetic(), "+", 1), FarmfaError::Malformed),
        (format!("{sssa}{}", &sssa[..44]), FarmfaError::Malformed),
        ("é".repeat(44), FarmfaError::Malformed),
        (STANDARD.encode([1, 2, 3, 0]), FarmfaError::ZeroX),
        (format!("{zero}{one}"), FarmfaError::ZeroX),
        (format!("{sssa}{zero}{one}"), FarmfaError::ZeroX),
        (format!("{}{one}", number(&prime())), FarmfaError::OutOfRange),
        (format!("{one}{}", number(&prime())), FarmfaError::OutOfRange),
        (STANDARD.encode(vec![1; 4000]), FarmfaError::TooLong),
    ] {
        assert_eq!(Share::parse(&text).unwrap_err(), error, "{text}");
    }
    assert!(Share::parse(&format!("{one}{}", number(&(prime() - 1u8)))).is_ok());
    assert!(Share::parse(&format!(" {vault}\n")).is_ok());
}

#[test]
fn shares_that_cannot_be_combined_are_refused() {
    for layout in [Layout::Vault, Layout::Sssa] {
        let texts = deal(layout, SECRET, 3, 2, 5);
        let shares = parse(&texts);
        assert_eq!(combine(&shares[..1], 2).unwrap_err(), FarmfaError::TooFew { have: 1, need: 2 });
        assert_eq!(combine(&[], 2).unwrap_err(), FarmfaError::TooFew { have: 0, need: 2 });
        for threshold in [0, 1, 256, usize::MAX] {
            assert_eq!(combine(&shares, threshold).unwrap_err(), FarmfaError::Threshold { threshold });
        }
        let again = parse(&[texts[0].clone(), texts[1].clone(), texts[0].clone()]);
        assert_eq!(combine(&again, 3).unwrap_err(), FarmfaError::RepeatedX { first: 0, second: 2 });
        let altered = parse(&[texts[0].clone(), alter(layout, &texts[0], 0, 1, false)]);
        assert_eq!(combine(&altered, 2).unwrap_err(), FarmfaError::RepeatedX { first: 0, second: 1 });
        let longer = deal(layout, &"A".repeat(64), 1, 2, 6).remove(0);
        let unequal = parse(&[texts[0].clone(), longer]);
        assert_eq!(combine(&unequal, 2).unwrap_err(), FarmfaError::UnequalLengths { index: 1 });
    }
    let mixed = parse(&[deal(Layout::Vault, SECRET, 1, 2, 5).remove(0), deal(Layout::Sssa, SECRET, 1, 2, 5).remove(0)]);
    assert_eq!(combine(&mixed, 2).unwrap_err(), FarmfaError::MixedLayouts { index: 1 });
    let crowd: Vec<Share> = parse(&deal(Layout::Sssa, SECRET, 256, 2, 5));
    assert_eq!(combine(&crowd, 2).unwrap_err(), FarmfaError::TooMany);
}

#[test]
fn a_repeated_x_in_a_later_chunk_is_noticed() {
    let long = "A".repeat(64);
    let texts = deal(Layout::Sssa, &long, 2, 2, 9);
    let grafted = format!("{}{}{}", &texts[1][..88], &texts[0][88..132], &texts[1][132..]);
    let shares = parse(&[texts[0].clone(), grafted]);
    assert_eq!(combine(&shares, 2).unwrap_err(), FarmfaError::RepeatedX { first: 0, second: 1 });
}

#[test]
fn text_that_is_no_key_is_refused() {
    for layout in [Layout::Vault, Layout::Sssa] {
        for (text, error) in [
            ("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP", FarmfaError::NotBase32),
            ("JBSWY3DP EHPK3PXP", FarmfaError::NotBase32),
            ("JBSWY3DP-EHPK3PXP", FarmfaError::NotBase32),
            ("JBSWY3DPEHPK3PX0", FarmfaError::NotBase32),
            ("JBSWY3DPEHPK3PXPA", FarmfaError::NotBase32),
            ("JBSWY3DPEHPK3PXÄ", FarmfaError::NotBase32),
            ("JBSWY3DP", FarmfaError::Unusable(OtpError::TooShort { bits: 40 })),
        ] {
            assert_eq!(combine(&parse(&deal(layout, text, 2, 2, 11)), 2).unwrap_err(), error, "{text}");
        }
    }
}

#[test]
fn too_few_shares_rebuild_nothing() {
    for layout in [Layout::Vault, Layout::Sssa] {
        let shares = parse(&deal(layout, SECRET, 5, 3, 13));
        assert_eq!(combine(&shares[..2], 2).unwrap_err(), FarmfaError::NotBase32);
    }
}

#[test]
fn nothing_is_compared_at_the_threshold() {
    let shares = parse(&deal(Layout::Vault, SECRET, 3, 3, 15));
    assert_eq!(consistent(&shares, 3).unwrap(), Consistency::NothingToCompare);
    assert_eq!(consistent(&shares, 4).unwrap_err(), FarmfaError::TooFew { have: 3, need: 4 });
}

#[test]
fn two_altered_shares_are_not_blamed_on_one() {
    for layout in [Layout::Vault, Layout::Sssa] {
        for (one, other) in [(0, 1), (0, 6), (5, 6)] {
            let mut texts = deal(layout, SECRET, 7, 3, 17);
            texts[one] = alter(layout, &texts[one], 0, 1, false);
            texts[other] = alter(layout, &texts[other], 0, 2, false);
            assert_eq!(consistent(&parse(&texts), 3).unwrap(), Consistency::Disagree, "{layout:?} {one} {other}");
        }
    }
}

#[test]
fn one_foreign_share_beyond_the_threshold_is_found_by_the_text() {
    for layout in [Layout::Vault, Layout::Sssa] {
        for odd in 0..3 {
            let mut texts = deal(layout, SECRET, 3, 2, 19);
            texts[odd] = deal(layout, &"A".repeat(32), 3, 2, 21).remove(odd);
            let shares = parse(&texts);
            assert_eq!(consistent(&shares, 2).unwrap(), Consistency::Odd(odd), "{layout:?}");
            assert_eq!(combine(&shares, 2).unwrap_err(), FarmfaError::Disagree);
        }
    }
}

#[test]
fn a_full_house_is_combined() {
    let shares = parse(&deal(Layout::Vault, SECRET, 255, 255, 23));
    assert_eq!(combine(&shares, 255).unwrap().to_base32().as_str(), SECRET);
    let shares = parse(&deal(Layout::Sssa, SECRET, 60, 40, 23));
    assert_eq!(combine(&shares, 40).unwrap().to_base32().as_str(), SECRET);
}

#[test]
fn debug_output_keeps_the_share() {
    let text = deal(Layout::Vault, SECRET, 1, 2, 25).remove(0);
    assert_eq!(format!("{:?}", Share::parse(&text).unwrap()), "Share { layout: Vault, .. }");
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Vault), Just(Layout::Sssa)]
}

/// A secret and a deal of it: layout, base32 text, threshold, number of shares, seed.
fn deals() -> impl Strategy<Value = (Layout, String, usize, usize, u64)> {
    (layouts(), "([A-Z2-7]{8}){2,12}", 2..6usize, 0..5usize, any::<u64>())
        .prop_map(|(layout, secret, threshold, extras, seed)| (layout, secret, threshold, threshold + extras, seed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_threshold_of_shares_in_any_order_rebuilds_the_secret(
        ((_, secret, threshold, texts), chosen) in deals().prop_flat_map(|(layout, secret, threshold, n, seed)| {
            let texts = deal(layout, &secret, n, threshold, seed);
            let chosen = subsequence(texts.clone(), threshold).prop_shuffle();
            (Just((layout, secret, threshold, texts)), chosen)
        })
    ) {
        let secret = OtpSecret::from_base32(&secret).unwrap();
        prop_assert_eq!(combine(&parse(&chosen), threshold).unwrap(), secret);
        let expected = if texts.len() > threshold { Consistency::Agree } else { Consistency::NothingToCompare };
        prop_assert_eq!(consistent(&parse(&texts), threshold).unwrap(), expected);
    }

    #[test]
    fn one_altered_share_among_two_extra_is_found(
        (layout, secret, threshold, _, seed) in deals(),
        extras in 2..5usize, odd: Index, position: Index, by in 1..=255u8, move_x: bool,
    ) {
        let mut texts = deal(layout, &secret, threshold + extras, threshold, seed);
        let odd = odd.index(texts.len());
        texts[odd] = alter(layout, &texts[odd], position.index(4096), by, move_x);
        let shares = parse(&texts);
        prop_assert_eq!(consistent(&shares, threshold).unwrap(), Consistency::Odd(odd));
        prop_assert_eq!(combine(&shares, threshold).unwrap_err(), FarmfaError::Disagree);
    }

    #[test]
    fn one_altered_share_is_never_blamed_on_an_honest_one(
        (layout, secret, threshold, _, seed) in deals(), odd: Index, position: Index, by in 1..=255u8,
    ) {
        let mut texts = deal(layout, &secret, threshold + 1, threshold, seed);
        let odd = odd.index(texts.len());
        texts[odd] = alter(layout, &texts[odd], position.index(4096), by, false);
        let found = consistent(&parse(&texts), threshold).unwrap();
        prop_assert!(found == Consistency::Odd(odd) || found == Consistency::Disagree, "{:?}", found);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Share::parse(&text);
        let _ = Share::parse(&STANDARD.encode(&bytes));
        let _ = Share::parse(&bytes.chunks(32).map(|number| URL_SAFE.encode(number)).collect::<String>());
    }
}
