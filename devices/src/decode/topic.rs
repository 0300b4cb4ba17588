//! Values taken out of a topic.

use super::Target;
use super::error::DecodeError;
use crate::OptionsError;
use tidegate_record::Schema;

/// A topic template: `sensors/{device}/{line}`; `+` passes any level, `#` at the end any number of levels.
#[derive(Debug)]
pub(super) struct Template {
    text: String,
    levels: Vec<Level>,
    open_ended: bool,
}

#[derive(Debug)]
enum Level {
    Literal(String),
    Any,
    Take(Target),
}

impl Template {
    pub fn new(text: &str, schema: &Schema) -> Result<Self, OptionsError> {
        let error = |problem: String| OptionsError::new("decode.topic", problem);
        let (text_levels, open_ended) = match text.strip_suffix("/#") {
            Some(head) => (head, true),
            None => (text, false),
        };
        let mut levels = Vec::new();
        let mut taken = Vec::new();
        for level in text_levels.split('/') {
            levels.push(match level.strip_prefix('{').and_then(|l| l.strip_suffix('}')) {
                Some(name) => {
                    let target = Target::named(name, schema).ok_or_else(|| {
                        error(format!("{{{name}}} in {text:?} is neither device, time nor a field of the stream"))
                    })?;
                    if taken.contains(&target) {
                        return Err(error(format!("{{{name}}} is twice in {text:?}")));
                    }
                    taken.push(target);
                    Level::Take(target)
                }
                None if level == "+" => Level::Any,
                None if level.contains(['{', '}', '+', '#']) => {
                    let problem = format!("{level:?} in {text:?}: a level is a word, +, or one {{name}}");
                    return Err(error(problem));
                }
                None => Level::Literal(level.into()),
            });
        }
        Ok(Template { text: text.into(), levels, open_ended })
    }

    /// What is taken out of topics.
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.levels.iter().filter_map(|level| match level {
            Level::Take(target) => Some(*target),
            _ => None,
        })
    }

    /// Hands each value of `topic` to `take`.
    pub fn read<'t>(
        &self,
        topic: &'t str,
        mut take: impl FnMut(Target, &'t str) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut parts = topic.split('/');
        for level in &self.levels {
            let Some(part) = parts.next() else { return Err(self.unfit(topic)) };
            match level {
                Level::Literal(word) if word != part => return Err(self.unfit(topic)),
                Level::Literal(_) | Level::Any => {}
                Level::Take(target) => take(*target, part)?,
            }
        }
        if parts.next().is_some() && !self.open_ended {
            return Err(self.unfit(topic));
        }
        Ok(())
    }

    fn unfit(&self, topic: &str) -> DecodeError {
        DecodeError::Topic { topic: topic.chars().take(256).collect(), template: self.text.clone() }
    }
}
