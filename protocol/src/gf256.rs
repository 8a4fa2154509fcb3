//! Arithmetic in GF(2^8), generic over the reduction polynomial, without tables and without branches on secrets:
//! a table lookup would let another process on the machine watch the cache while a secret is rebuilt.

/// The field of `blahaj` and `sharks`: x^8 + x^4 + x^3 + x^2 + 1.
pub(crate) const BLAHAJ: u16 = 0x11d;

/// `a · b` modulo `POLY`, in constant time.
pub(crate) const fn mul<const POLY: u16>(a: u8, b: u8) -> u8 {
    let low = (POLY & 0xff) as u8;
    let mut product = 0u8;
    let mut shifted = a;
    let mut bit = 0;
    while bit < 8 {
        product ^= shifted & 0u8.wrapping_sub((b >> bit) & 1);
        let carry = 0u8.wrapping_sub(shifted >> 7);
        shifted = (shifted << 1) ^ (low & carry);
        bit += 1;
    }
    product
}

/// `1 / a` modulo `POLY` as a^254, in constant time; 0 has no inverse and gives 0.
pub(crate) const fn inverse<const POLY: u16>(a: u8) -> u8 {
    let mut result = 1u8;
    let mut power = a;
    let mut bit = 1;
    // 254 = 0b1111_1110: every power a^2, a^4, … a^128.
    while bit < 8 {
        power = mul::<POLY>(power, power);
        result = mul::<POLY>(result, power);
        bit += 1;
    }
    result
}

/// The Lagrange coefficients that take the values at `xs` to the value at `at`; `xs` must be distinct.
///
/// Returns `None` when `xs` is empty or repeats a value.
pub(crate) fn lagrange<const POLY: u16>(xs: &[u8], at: u8) -> Option<Vec<u8>> {
    Some(Lagrange::<POLY>::new(xs)?.at(at))
}

/// What the coefficients of all points have in common, for whoever wants many: a deal of 255 is checked at each.
pub(crate) struct Lagrange<const POLY: u16> {
    xs: Vec<u8>,
    /// 1 / ∏ (xi − xj) over all other xj.
    weights: Vec<u8>,
}

impl<const POLY: u16> Lagrange<POLY> {
    /// For the values at `xs`; `None` when there are none, or one is repeated.
    pub(crate) fn new(xs: &[u8]) -> Option<Self> {
        // x coordinates are public: branching on them is fine.
        let mut seen = [false; 256];
        let repeated = xs.iter().any(|&x| std::mem::replace(&mut seen[usize::from(x)], true));
        if xs.is_empty() || repeated {
            return None;
        }
        let others = |i: usize| xs.iter().enumerate().filter(move |(j, _)| *j != i).map(|(_, &xj)| xj);
        let weight = |(i, &xi)| inverse::<POLY>(others(i).fold(1, |product, xj| mul::<POLY>(product, xi ^ xj)));
        Some(Self { weights: xs.iter().enumerate().map(weight).collect(), xs: xs.to_vec() })
    }

    /// The coefficients that lead to the value at `at`.
    pub(crate) fn at(&self, at: u8) -> Vec<u8> {
        // ∏ (at − xj) over the xj before xi, then over those behind it: no division, so `at` may be one of them.
        let mut before = 1;
        let mut coefficients = Vec::with_capacity(self.xs.len());
        for (&xi, &weight) in self.xs.iter().zip(&self.weights) {
            coefficients.push(mul::<POLY>(before, weight));
            before = mul::<POLY>(before, at ^ xi);
        }
        let mut behind = 1;
        for (coefficient, &xi) in coefficients.iter_mut().zip(&self.xs).rev() {
            *coefficient = mul::<POLY>(*coefficient, behind);
            behind = mul::<POLY>(behind, at ^ xi);
        }
        coefficients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AES: u16 = 0x11b;

    #[test]
    fn products_of_fips_197() {
        assert_eq!(mul::<AES>(0x57, 0x83), 0xc1);
        assert_eq!(mul::<AES>(0x57, 0x13), 0xfe);
    }

    #[test]
    fn every_element_has_its_inverse() {
        for a in 1..=255 {
            assert_eq!(mul::<AES>(a, inverse::<AES>(a)), 1);
            assert_eq!(mul::<BLAHAJ>(a, inverse::<BLAHAJ>(a)), 1);
        }
        assert_eq!(inverse::<AES>(0), 0);
    }

    #[test]
    fn a_repeated_x_has_no_coefficients() {
        assert_eq!(lagrange::<BLAHAJ>(&[1, 2, 1], 0), None);
        assert_eq!(lagrange::<BLAHAJ>(&[], 0), None);
    }

    #[test]
    fn at_one_of_its_points_a_polynomial_has_that_value() {
        let xs = [3, 1, 200, 77];
        let lagrange = Lagrange::<BLAHAJ>::new(&xs).expect("distinct");
        for (i, &x) in xs.iter().enumerate() {
            let mut expected = vec![0; xs.len()];
            expected[i] = 1;
            assert_eq!(lagrange.at(x), expected);
        }
    }

    #[test]
    fn a_line_is_continued() {
        // f(x) = 7 + 3x
        let f = |x: u8| 7 ^ mul::<BLAHAJ>(3, x);
        for at in 0..=255 {
            let c = lagrange::<BLAHAJ>(&[5, 9], at).expect("distinct");
            assert_eq!(mul::<BLAHAJ>(c[0], f(5)) ^ mul::<BLAHAJ>(c[1], f(9)), f(at));
        }
    }
}
