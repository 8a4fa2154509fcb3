//! farMFA's dealer in HashiCorp Vault's layout, which quorate itself never is: GF(2^8) modulo 0x11b, y bytes, then x.

/// Splits `secret` into `size` shares, any two of which give it back.
pub fn deal_two_of(size: u8, secret: &[u8]) -> Vec<Vec<u8>> {
    let slopes: Vec<u8> = secret.iter().map(|_| rand::random()).collect();
    let value = |x: u8| secret.iter().zip(&slopes).map(move |(byte, slope)| byte ^ times(*slope, x));
    (1..=size).map(|x| value(x).chain([x]).collect()).collect()
}

fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1b };
        b >>= 1;
    }
    product
}
