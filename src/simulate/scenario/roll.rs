//! Dice that always fall the same way for the same seed and question (splitmix64).

use rust_decimal::Decimal;

/// A die for one question: made of the seed and of the words and numbers that tell the question
/// from every other one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roll(u64);

impl Roll {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn word(self, word: &str) -> Self {
        word.bytes().fold(self, |roll, byte| Self(mix(roll.0 ^ u64::from(byte))))
    }

    /// As [`Roll::word`], without a text.
    pub(super) fn number(self, number: i64) -> Self {
        Self(mix(self.0 ^ mix(number.cast_unsigned())))
    }

    pub(super) fn day(self, day: jiff::civil::Date) -> Self {
        self.word(&day.to_string())
    }

    /// A number from 0 up to, and without, `limit`.
    pub(super) fn below(self, limit: u32) -> u32 {
        let value = mix(self.0) % u64::from(limit.max(1));
        u32::try_from(value).unwrap_or_default()
    }

    /// A factor between `1 - per_mille / 1000` and `1 + per_mille / 1000`, with six decimals.
    pub(super) fn around_one(self, per_mille: u32) -> Decimal {
        let width = 2 * i64::from(per_mille) * 1000;
        let offset = i64::from(self.below(u32::try_from(width + 1).unwrap_or(u32::MAX)));
        Decimal::new(1_000_000 + offset - width / 2, 6)
    }

    /// 32 hexadecimal digits.
    pub(super) fn hex(self) -> String {
        format!("{:016x}{:016x}", mix(self.0), mix(self.0 ^ u64::MAX))
    }

    /// The digits in the shape of a UUID.
    pub(super) fn uuid(self) -> String {
        let mut text = self.hex();
        for at in [20, 16, 12, 8] {
            text.insert(at, '-');
        }
        text
    }
}

/// One step of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
