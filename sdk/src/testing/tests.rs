use super::*;
use crate::{Batch, Blobs, Emits, Fault, Field, Filter, Issue, Plan, Plugin, Scalar, State};

mod counter {
    use super::*;

    /// Keeps every other record of a device.
    #[derive(Default)]
    pub(super) struct EveryOther {
        seen: crate::Slots<u32>,
    }

    impl Plugin for EveryOther {
        type Params = ();
        fn configure((): (), _: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
            Ok((EveryOther::default(), Plan::default()))
        }
    }

    impl Filter for EveryOther {
        fn keep(&mut self, batch: &Batch, _: &mut Vec<Fault>) -> Vec<u8> {
            let slots = batch.slots.as_deref().unwrap_or_default();
            let mut keep = |&slot: &u32| {
                let seen = self.seen.at(slot);
                *seen += 1;
                u8::from(*seen % 2 == 1)
            };
            slots.iter().map(&mut keep).collect()
        }
    }

    impl State for EveryOther {
        fn save(&self, slot: u32, out: &mut Vec<u8>) {
            self.seen.save(slot, out);
        }
        fn load(&mut self, version: u32, slot: u32, state: &[u8]) -> Result<(), String> {
            self.seen.load(version, slot, state)
        }
        fn release(&mut self, slot: u32) {
            self.seen.release(slot);
        }
    }

    crate::export!(filter + state EveryOther);

    #[test]
    fn a_state_is_carried_over_every_cut() {
        let records = "device x\nd1 1\nd2 2\nd1 3\nd1 4\nd2 5\nd2 -";
        let made = crate::testing::plugin!().run(records);
        assert_eq!(made, "device  time  x\nd1      0     1\nd2      1     2\nd1      3     4\nd2      5     -\n");
    }
}

mod forgetful {
    use super::*;

    /// Keeps the first record of every batch: what no plugin may do.
    pub(super) struct First;

    impl Plugin for First {
        type Params = ();
        fn configure((): (), _: &[Field]) -> Result<(Self, Plan), Vec<Issue>> {
            Ok((First, Plan::default()))
        }
    }

    impl Filter for First {
        fn keep(&mut self, batch: &Batch, _: &mut Vec<Fault>) -> Vec<u8> {
            (0..batch.rows).map(|row| u8::from(row == 0)).collect()
        }
    }

    crate::export!(filter First);

    #[test]
    #[should_panic(expected = "results depend on how records are cut: in one batch")]
    fn results_that_depend_on_cuts_fail() {
        crate::testing::plugin!().run("x\n1\n2\n3");
    }

    #[test]
    fn one_record_cannot_be_cut() {
        crate::testing::plugin!().check("device time x\nd1 0.5 1", "device time x\nd1 0.5 1");
    }
}

mod mean {
    use super::*;
    use crate::{Deserialize, Serialize};

    #[derive(tidegate_sdk_macros::Record)]
    struct Climate {
        temp: f64,
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Mean {
        sum: f64,
        count: u32,
    }

    #[derive(tidegate_sdk_macros::Emits)]
    struct Result {
        mean: Option<f64>,
    }

    #[tidegate_sdk_macros::aggregate]
    impl Mean {
        fn update(&mut self, r: &Climate) -> std::result::Result<(), &'static str> {
            if r.temp < -273.15 {
                return Err("colder than can be");
            }
            self.sum += r.temp;
            self.count += 1;
            Ok(())
        }
        fn merge(&mut self, later: &Mean) {
            self.sum += later.sum;
            self.count += later.count;
        }
        fn finish(&self) -> Result {
            Result { mean: (self.count > 0).then(|| self.sum / f64::from(self.count)) }
        }
    }

    #[test]
    fn an_aggregate_makes_a_record_a_window() {
        crate::testing::plugin!().window(10.0).check(
            "device time temp
             d1     0    1
             d1     9.9  2
             d2     3    -300
             d1     10   7",
            "device start end mean
             d1     0     10  1.5
             d2     0     10  -
             d1     10    20  7
             fault 2: colder than can be",
        );
        assert_eq!(Result::fields()[0].scalar, Scalar::Float);
    }
}

mod forgotten {
    use crate::{Deserialize, Serialize};

    #[derive(tidegate_sdk_macros::Record)]
    struct Climate {
        temp: f64,
    }

    /// The sum of a window; its `merge` forgets what it had.
    #[derive(Default, Serialize, Deserialize)]
    struct Sum(f64);

    #[derive(tidegate_sdk_macros::Emits)]
    struct Result {
        sum: f64,
    }

    #[tidegate_sdk_macros::aggregate]
    impl Sum {
        fn update(&mut self, r: &Climate) {
            self.0 += r.temp;
        }
        fn merge(&mut self, later: &Sum) {
            self.0 = later.0;
        }
        fn finish(&self) -> Result {
            Result { sum: self.0 }
        }
    }

    #[test]
    #[should_panic(expected = "merged, its first half in one slot, its second in the other")]
    fn a_merge_that_loses_records_fails() {
        crate::testing::plugin!().window(10.0).run("temp\n1\n2\n3");
    }
}

mod spread {
    use crate::{Deserialize, Serialize};

    #[derive(tidegate_sdk_macros::Record)]
    struct Weather {
        pressure: f64,
    }

    /// How far values are from their mean; its `merge` forgets how far the means are from each other.
    #[derive(Default, Serialize, Deserialize)]
    struct Spread {
        count: f64,
        mean: f64,
        squares: f64,
    }

    #[derive(tidegate_sdk_macros::Emits)]
    struct Result {
        variance: f64,
    }

    #[tidegate_sdk_macros::aggregate]
    impl Spread {
        fn update(&mut self, r: &Weather) {
            self.count += 1.0;
            let from_mean = r.pressure - self.mean;
            self.mean += from_mean / self.count;
            self.squares += from_mean * (r.pressure - self.mean);
        }
        fn merge(&mut self, later: &Spread) {
            let count = self.count + later.count;
            if count > 0.0 {
                self.mean += (later.mean - self.mean) * later.count / count;
            }
            (self.count, self.squares) = (count, self.squares + later.squares);
        }
        fn finish(&self) -> Result {
            Result { variance: self.squares / self.count }
        }
    }

    /// It is some 0.00003 that is lost, of numbers as large as 101325.
    #[test]
    #[should_panic(expected = "merged, its first half in one slot, its second in the other")]
    fn a_merge_that_loses_what_large_numbers_differ_by_fails() {
        crate::testing::plugin!().window(10.0).run("pressure\n101325\n101325.005\n101325.01\n101325.015");
    }
}

mod litter {
    use super::*;

    /// Keeps the first record of each slot, and leaves something in those that are released.
    #[derive(Default)]
    pub(super) struct First(std::collections::BTreeSet<u32>);

    impl Plugin for First {
        type Params = ();
        fn configure((): (), _: &[Field]) -> std::result::Result<(Self, Plan), Vec<Issue>> {
            Ok((First::default(), Plan::default()))
        }
    }

    impl Filter for First {
        fn keep(&mut self, batch: &Batch, _: &mut Vec<Fault>) -> Vec<u8> {
            let slots = batch.slots.as_deref().unwrap_or_default();
            slots.iter().map(|&slot| u8::from(self.0.insert(slot))).collect()
        }
    }

    impl State for First {
        fn save(&self, slot: u32, out: &mut Vec<u8>) {
            out.extend(self.0.contains(&slot).then_some(1));
        }
        fn load(&mut self, _: u32, slot: u32, state: &[u8]) -> std::result::Result<(), String> {
            let _ = if state.is_empty() { self.0.remove(&slot) } else { self.0.insert(slot) };
            Ok(())
        }
        fn release(&mut self, _: u32) {}
    }

    crate::export!(filter + state First);

    #[test]
    #[should_panic(expected = "a slot that was released is not as new")]
    fn what_is_left_in_a_released_slot_fails() {
        crate::testing::plugin!().run("device x\nd1 1\nd2 2\nd1 3");
    }
}

#[test]
fn a_star_is_any_value_and_no_other_number_of_them() {
    let made = "device  score\nd1      0.1\nfault 1: too cold\n";
    assert!(text::is_as(made, "device score\n\n  d1 *\nfault 1: too cold"));
    for other in ["device score\nd2 *\nfault 1: too cold", "device score\nd1\nfault 1: too cold", "device score\nd1 *"]
    {
        assert!(!text::is_as(made, other), "{other}");
    }
}

#[test]
fn what_stands_in_quotes_is_one_word() {
    let made = "device  name     note\nd1      \"a  b\"  \"-\"\nd2      north    -\nfault 2: said \"no\n";
    let expected = "device name note\nd1 * \"-\"\nd2 \"north\" -\nfault 2: said \"no";
    assert!(text::is_as(made, expected));
    for (right, wrong) in [("*", "\"a b\""), ("\"-\"", "-"), ("\"north\"", "\"*\""), ("said \"no", "said no")] {
        let other = expected.replacen(right, wrong, 1);
        assert!(!text::is_as(made, &other), "{other}");
    }
}

#[test]
fn a_text_that_is_written_is_read_again() {
    let text = "device    time  n:i64  name:text        frame:bytes  ok:bool\nd1        0     -5     \"a \\\"b\\\" \\\\\"  0x00ff       true\n\"d 2\"     1.5   -      \"\"               -            -\n";
    let records = text::read(text);
    assert_eq!(records.devices, ["d1", "d 2"]);
    assert_eq!(records.times, [0, 1_500_000]);
    let cells = |row: usize| records.columns.iter().map(|column| text::cell(column, row)).collect::<Vec<_>>();
    assert_eq!(cells(0), ["-5", r#""a \"b\" \\""#, "0x00ff", "true"]);
    assert_eq!(cells(1), ["-", "\"\"", "-", "-"]);
    let Some(crate::Values::Bytes(frames)) = records.columns.get(2).map(|column| &column.values) else {
        panic!("bytes")
    };
    assert_eq!((frames.at(0), frames.at(1)), (&[0, 255][..], &[][..]));
    assert_eq!(Blobs::none().offsets, [0]);
}
