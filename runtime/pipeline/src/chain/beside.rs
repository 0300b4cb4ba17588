//! What runs beside operators.

use super::Chain;
use crate::shadow::Shadow;

impl Chain {
    /// Has another version run beside an operator, in place of one that did.
    pub(crate) fn shadow(&mut self, operator: usize, shadow: &Shadow) -> Result<(), String> {
        if self.held[operator].is_some() {
            return Err(self.not_called(operator));
        }
        let feed = shadow.begin(&mut *self.operators[operator])?;
        self.unshadow(operator, "another one was put in its place");
        self.shadows[operator] = Some(feed);
        Ok(())
    }

    /// Why nothing can run beside an operator in quarantine.
    pub(crate) fn not_called(&self, operator: usize) -> String {
        let remedy = "there is nothing to compare with: release it, or swap another version in its place";
        format!("operator {} ({}) is in quarantine and not called; {remedy}", operator + 1, self.plugin(operator))
    }

    /// Nothing runs beside an operator any more, and why.
    pub(crate) fn unshadow(&mut self, operator: usize, why: &str) {
        self.shadows[operator].take().into_iter().for_each(|feed| feed.stop(why));
    }

    /// Nothing runs beside any operator any more, and why.
    pub(crate) fn unshadow_all(&mut self, why: &str) {
        (0..self.shadows.len()).for_each(|operator| self.unshadow(operator, why));
    }
}
