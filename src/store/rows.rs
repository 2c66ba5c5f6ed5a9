//! How the rows of one breakdown, day and invoice are packed into one blob.
//!
//! A version byte, the number of rows, then the rows in the order of their series: the distance to
//! the series before, flags, amounts. Integers are LEB128 (seven bits a byte, low ones first). An
//! amount is a byte of scale (5 bits), sign (1) and the lowest 2 bits of the digits, then the rest.

use rust_decimal::Decimal;

use crate::domain::breakdown::Amounts;
use crate::store::error::Fault;

const VERSION: u8 = 1;

/// An amount is not known.
const UNKNOWN: u8 = 0;
/// An amount follows.
const GIVEN: u8 = 1;
/// An amount is written like the known one before it in the same row: the usual case of an
/// effective cost that equals the billed one.
const SAME: u8 = 2;
/// An amount is `0`.
const ZERO: u8 = 3;

const ESTIMATED: u8 = 1 << 6;
const MORE: u8 = 1 << 7;
const HAS_USD: u8 = 1 << 6;
const HAS_QUANTITY: u8 = 1 << 7;

/// What a row holds besides its series, day and invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) series: u32,
    pub(super) estimated: bool,
    pub(super) amounts: Amounts,
    pub(super) usd: Option<Amounts>,
    /// The unit's number and how much.
    pub(super) quantity: Option<(u32, Decimal)>,
}

/// Packs cells one after another, in strictly ascending order of their series.
pub(super) struct Packer {
    bytes: Vec<u8>,
    next_series: u64,
}

impl Packer {
    /// For a number of cells.
    pub(super) fn new(cells: usize) -> Self {
        let mut packer = Self { bytes: vec![VERSION], next_series: 0 };
        packer.integer(u128::try_from(cells).expect("a length fits 128 bits"));
        packer
    }

    /// Adds one.
    pub(super) fn push(&mut self, cell: &Cell) {
        let series = u64::from(cell.series);
        let distance =
            series.checked_sub(self.next_series).expect("cells come in the order of their series");
        self.integer(u128::from(distance));
        self.next_series = series + 1;

        let (flags, given) = outline(&cell.amounts);
        let more = cell.usd.is_some() || cell.quantity.is_some();
        let mut head = flags;
        head |= if cell.estimated { ESTIMATED } else { 0 };
        head |= if more { MORE } else { 0 };
        self.bytes.push(head);
        let usd = cell.usd.as_ref().map(outline);
        if more {
            let mut second = 0;
            if let Some((flags, _)) = usd {
                second |= HAS_USD | flags;
            }
            second |= if cell.quantity.is_some() { HAS_QUANTITY } else { 0 };
            self.bytes.push(second);
        }
        let in_usd = usd.map(|(_, given)| given).into_iter().flatten();
        for amount in given.into_iter().chain(in_usd).flatten() {
            self.decimal(amount);
        }
        if let Some((unit, amount)) = cell.quantity {
            self.integer(u128::from(unit));
            self.decimal(amount);
        }
    }

    /// The blob.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn integer(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.bytes.push(low_bits(value, 0x7f) | 0x80);
            value >>= 7;
        }
        self.bytes.push(low_bits(value, 0x7f));
    }

    fn decimal(&mut self, amount: Decimal) {
        let digits = amount.mantissa();
        let size = digits.unsigned_abs();
        let scale = u8::try_from(amount.scale()).expect("a scale is at most 28");
        let sign = u8::from(digits < 0);
        self.bytes.push(scale | sign << 5 | low_bits(size, 0b11) << 6);
        self.integer(size >> 2);
    }
}

fn low_bits(value: u128, mask: u8) -> u8 {
    u8::try_from(value & u128::from(mask)).expect("the mask has eight bits")
}

/// Two bits for each amount, and the amounts that are to be written out.
fn outline(amounts: &Amounts) -> (u8, [Option<Decimal>; 3]) {
    let mut flags = 0;
    let mut before: Option<Decimal> = None;
    let mut place = 0;
    let given = [amounts.billed, amounts.effective, amounts.list].map(|amount| {
        let written = |a: Decimal, b: Decimal| a == b && a.scale() == b.scale();
        let (flag, given) = match amount {
            None => (UNKNOWN, None),
            Some(amount) if written(amount, Decimal::ZERO) => (ZERO, None),
            Some(amount) if before.is_some_and(|before| written(amount, before)) => (SAME, None),
            Some(amount) => (GIVEN, Some(amount)),
        };
        before = amount.or(before);
        flags |= flag << place;
        place += 2;
        given
    });
    (flags, given)
}

/// Reads a blob cell by cell.
///
/// # Errors
/// [`Fault::Damaged`] for anything that [`Packer`] does not write.
pub(super) fn unpack(
    bytes: &[u8],
    mut visit: impl FnMut(&Cell) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return Err(damaged());
    }
    let cells = reader.integer()?;
    let mut next_series: u64 = 0;
    for _ in 0..cells {
        let distance = u64::try_from(reader.integer()?).map_err(|_| damaged())?;
        let place = next_series.checked_add(distance).ok_or_else(damaged)?;
        let series = u32::try_from(place).map_err(|_| damaged())?;
        next_series = place + 1;

        let head = reader.byte()?;
        let second = if head & MORE == 0 { 0 } else { reader.byte()? };
        let amounts = reader.amounts(head)?;
        let usd = if second & HAS_USD == 0 { None } else { Some(reader.amounts(second)?) };
        let quantity = if second & HAS_QUANTITY == 0 {
            None
        } else {
            let unit = u32::try_from(reader.integer()?).map_err(|_| damaged())?;
            Some((unit, reader.decimal()?))
        };
        visit(&Cell { series, estimated: head & ESTIMATED != 0, amounts, usd, quantity })?;
    }
    if reader.0.is_empty() { Ok(()) } else { Err(damaged()) }
}

fn damaged() -> Fault {
    Fault::Damaged("the packed rows of a day cannot be unpacked".to_owned())
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let (&first, rest) = self.0.split_first().ok_or_else(damaged)?;
        self.0 = rest;
        Ok(first)
    }

    fn integer(&mut self) -> Result<u128, Fault> {
        let mut value = 0;
        // Fourteen bytes hold the 96 bits of a decimal's digits.
        for place in 0..14 {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    fn decimal(&mut self) -> Result<Decimal, Fault> {
        let head = self.byte()?;
        let size = self.integer()? << 2 | u128::from(head >> 6);
        let digits = i128::try_from(size).map_err(|_| damaged())?;
        let signed = if head & 1 << 5 == 0 { digits } else { -digits };
        Decimal::try_from_i128_with_scale(signed, u32::from(head & 0x1f)).map_err(|_| damaged())
    }

    fn amounts(&mut self, flags: u8) -> Result<Amounts, Fault> {
        let mut before = None;
        let mut amount = |flag: u8| -> Result<Option<Decimal>, Fault> {
            let amount = match flag & 0b11 {
                UNKNOWN => None,
                GIVEN => Some(self.decimal()?),
                SAME => Some(before.ok_or_else(damaged)?),
                _ => Some(Decimal::ZERO),
            };
            before = amount.or(before);
            Ok(amount)
        };
        Ok(Amounts {
            billed: amount(flags)?,
            effective: amount(flags >> 2)?,
            list: amount(flags >> 4)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimals() -> impl Strategy<Value = Decimal> {
        let digits = prop_oneof![
            Just(0),
            -1_000_000_i128..1_000_000,
            -10_i128.pow(28)..10_i128.pow(28),
            Just(Decimal::MAX.mantissa()),
            Just(Decimal::MIN.mantissa()),
        ];
        (digits, 0_u32..=28)
            .prop_map(|(digits, scale)| Decimal::from_i128_with_scale(digits, scale))
    }

    fn all_amounts() -> impl Strategy<Value = Amounts> {
        let one = || proptest::option::of(decimals());
        let free = (one(), one(), one());
        let alike = one().prop_map(|amount| (amount, amount, amount));
        prop_oneof![free, alike].prop_map(|(billed, effective, list)| Amounts {
            billed,
            effective,
            list,
        })
    }

    fn cells() -> impl Strategy<Value = Vec<Cell>> {
        let cell = (
            any::<u32>(),
            any::<bool>(),
            all_amounts(),
            proptest::option::of(all_amounts()),
            proptest::option::of((any::<u32>(), decimals())),
        );
        proptest::collection::vec(cell, 0..40).prop_map(|cells| {
            let mut cells: Vec<Cell> = cells
                .into_iter()
                .map(|(series, estimated, amounts, usd, quantity)| Cell {
                    series,
                    estimated,
                    amounts,
                    usd,
                    quantity,
                })
                .collect();
            cells.sort_by_key(|cell| cell.series);
            cells.dedup_by_key(|cell| cell.series);
            cells
        })
    }

    fn pack(cells: &[Cell]) -> Vec<u8> {
        let mut packer = Packer::new(cells.len());
        cells.iter().for_each(|cell| packer.push(cell));
        packer.finish()
    }

    fn unpacked(bytes: &[u8]) -> Result<Vec<Cell>, Fault> {
        let mut cells = Vec::new();
        unpack(bytes, |cell| {
            cells.push(cell.clone());
            Ok(())
        })?;
        Ok(cells)
    }

    proptest! {
        #[test]
        fn unpacked_cells_are_the_packed_ones_to_the_last_digit(cells in cells()) {
            let restored = unpacked(&pack(&cells)).unwrap();
            // Decimals are equal when their values are; their text shows the scale too.
            prop_assert_eq!(format!("{restored:?}"), format!("{cells:?}"));
        }

        #[test]
        fn a_cut_blob_is_an_error(cells in cells(), cut in any::<prop::sample::Index>()) {
            let bytes = pack(&cells);
            let length = cut.index(bytes.len());
            prop_assert!(unpacked(&bytes[..length]).is_err());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpacked(&bytes);
            let _ = unpacked(&[&[VERSION][..], &bytes].concat());
        }
    }

    #[test]
    fn an_effective_cost_that_equals_the_billed_one_takes_no_room() {
        let cell = |effective| Cell {
            series: 7,
            estimated: true,
            amounts: Amounts {
                billed: Some("12.3400000001".parse().unwrap()),
                effective,
                list: None,
            },
            usd: None,
            quantity: None,
        };
        let alike = pack(&[cell(Some("12.3400000001".parse().unwrap()))]);
        let unknown = pack(&[cell(None)]);
        assert_eq!(alike.len(), unknown.len());
        assert_eq!(alike.len(), 2 + 2 + 6);
    }
}
