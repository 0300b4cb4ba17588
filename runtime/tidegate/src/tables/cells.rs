//! Cells of a file, and the columns made of them.

use tidegate_record::{Blobs, Column, Scalar, Values};

/// Largest integer a double holds exactly.
const EXACT_MAX: i64 = 1 << 53;

/// A cell as it is in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'c> {
    /// Nothing.
    Null,
    /// What is written in a file without types: whatever it looks like.
    Word(&'c str),
    Text(&'c str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

impl Cell<'_> {
    /// What it is, or looks like; `None` for nothing.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        match *self {
            Cell::Null => None,
            Cell::Word(word) if integer(word).is_some() => Some(Scalar::Integer),
            Cell::Word(word) if float(word).is_some() => Some(Scalar::Float),
            Cell::Word("true" | "false") => Some(Scalar::Boolean),
            Cell::Word(_) | Cell::Text(_) => Some(Scalar::Text),
            Cell::Integer(_) => Some(Scalar::Integer),
            Cell::Float(_) => Some(Scalar::Float),
            Cell::Boolean(_) => Some(Scalar::Boolean),
        }
    }

    fn told(&self) -> String {
        match self {
            Cell::Null => "nothing".into(),
            Cell::Word(text) | Cell::Text(text) => format!("{:?}", text.chars().take(64).collect::<String>()),
            Cell::Integer(value) => value.to_string(),
            Cell::Float(value) => value.to_string(),
            Cell::Boolean(value) => value.to_string(),
        }
    }
}

/// A number as people write one that is counted with: `007` and `+5` are names.
fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let plain = digits == "0" || !digits.starts_with('0');
    word.parse().ok().filter(|_| plain && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Digits alone are a number to the last one, or a name: a card's number is not to be rounded.
fn float(word: &str) -> Option<f64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let exact = !digits.bytes().all(|byte| byte.is_ascii_digit()) || word.parse().is_ok_and(is_exact);
    let begins = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let plain = !digits.starts_with('0') || digits.len() == 1 || digits[1..].starts_with(['.', 'e', 'E']);
    word.parse().ok().filter(|value: &f64| exact && begins && plain && value.is_finite())
}

/// Whether a double holds it as it is.
fn is_exact(integer: i64) -> bool {
    (-EXACT_MAX..=EXACT_MAX).contains(&integer)
}

/// What the cells of a column are, so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    words: bool,
    /// A word that is an integer no double holds.
    long_words: bool,
    /// By scalar: float, integer, boolean, text.
    scalars: [bool; 4],
}

impl Seen {
    pub(super) fn see(&mut self, cell: &Cell<'_>) {
        if let Cell::Word(word) = cell {
            self.words = true;
            self.long_words |= integer(word).is_some_and(|value| !is_exact(value));
        }
        if let Some(scalar) = cell.scalar() {
            self.scalars[scalar as usize] = true;
        }
    }

    /// What the column holds; the error: what it holds that goes into no column together.
    pub(super) fn scalar(&self) -> Result<Scalar, String> {
        let [float, integer, boolean, text] = self.scalars;
        match (float || integer, boolean, text) {
            (true, false, false) if float && self.long_words => Ok(Scalar::Text),
            (true, false, false) => Ok(if float { Scalar::Float } else { Scalar::Integer }),
            (false, true, false) => Ok(Scalar::Boolean),
            (false, false, _) => Ok(Scalar::Text),
            // Without types all that is written is text, too.
            _ if self.words => Ok(Scalar::Text),
            _ => {
                let kinds = [(float || integer, "numbers"), (boolean, "true or false"), (text, "text")];
                let there: Vec<&str> = kinds.into_iter().filter(|(there, _)| *there).map(|(_, noun)| noun).collect();
                Err(there.join(" and "))
            }
        }
    }
}

/// A column being made.
pub(super) struct Builder {
    values: Values,
    valid: Vec<u8>,
}

impl Builder {
    pub(super) fn new(scalar: Scalar) -> Self {
        Builder { values: Values::empty(scalar), valid: Vec::new() }
    }

    /// Appends a cell; the error says what is wrong with it, and then a null stands in.
    pub(super) fn push(&mut self, cell: &Cell<'_>) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{} is no {what}", cell.told()));
        let pushed = match (&mut self.values, cell) {
            (values, Cell::Null) => {
                push_zero(values);
                self.valid.push(0);
                return Ok(());
            }
            (Values::Floats(values), Cell::Word(word)) if float(word).is_some() => {
                values.extend(float(word));
                Ok(())
            }
            (Values::Floats(values), Cell::Float(value)) => {
                values.push(*value);
                Ok(())
            }
            (Values::Floats(values), Cell::Integer(value)) if is_exact(*value) => {
                values.push(*value as f64);
                Ok(())
            }
            (Values::Floats(_), _) => wrong("f64"),
            (Values::Integers(values), Cell::Word(word)) if integer(word).is_some() => {
                values.extend(integer(word));
                Ok(())
            }
            (Values::Integers(values), Cell::Integer(value)) => {
                values.push(*value);
                Ok(())
            }
            (Values::Integers(_), _) => wrong("i64"),
            (Values::Booleans(values), Cell::Word("true") | Cell::Boolean(true) | Cell::Integer(1)) => {
                values.push(1);
                Ok(())
            }
            (Values::Booleans(values), Cell::Word("false") | Cell::Boolean(false) | Cell::Integer(0)) => {
                values.push(0);
                Ok(())
            }
            (Values::Booleans(_), _) => wrong("bool"),
            (Values::Texts(texts), Cell::Word(text) | Cell::Text(text)) => {
                texts.push(text.as_bytes());
                Ok(())
            }
            (Values::Texts(_) | Values::Bytes(_), _) => wrong("text"),
        };
        if pushed.is_err() {
            push_zero(&mut self.values);
        }
        self.valid.push(u8::from(pushed.is_ok()));
        pushed
    }

    pub(super) fn finish(self) -> Column {
        let valid = self.valid.contains(&0).then_some(self.valid);
        Column { values: self.values, valid }
    }
}

fn push_zero(values: &mut Values) {
    let push = |blobs: &mut Blobs| blobs.push(&[]);
    match values {
        Values::Floats(values) => values.push(0.0),
        Values::Integers(values) => values.push(0),
        Values::Booleans(values) => values.push(0),
        Values::Texts(blobs) | Values::Bytes(blobs) => push(blobs),
    }
}
