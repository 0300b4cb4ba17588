//! JSON pointers (RFC 6901), many at once: a tree that is walked beside the payload.

use super::Target;
use crate::OptionsError;

/// The pointers below one place.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// What wants the value at this place.
    pub targets: Vec<Target>,
    children: Vec<(Box<str>, Branch)>,
}

impl Branch {
    /// Adds a pointer. `option` names it in errors.
    pub fn add(&mut self, option: &str, pointer: &str, target: Target) -> Result<(), OptionsError> {
        let Some(path) = pointer.strip_prefix('/') else {
            let problem = format!("{pointer:?} is no JSON pointer: it begins with '/', as in \"/{pointer}\"");
            return Err(OptionsError::new(option, problem));
        };
        let mut branch = self;
        for token in path.split('/') {
            let key = unescape(token).ok_or_else(|| {
                OptionsError::new(option, format!("{pointer:?}: '~' is written ~0 in a JSON pointer, '/' ~1"))
            })?;
            let at = branch.children.iter().position(|(name, _)| **name == *key).unwrap_or_else(|| {
                branch.children.push((key.into(), Branch::default()));
                branch.children.len() - 1
            });
            branch = &mut branch.children[at].1;
        }
        branch.targets.push(target);
        Ok(())
    }

    /// Whether nothing is below.
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// The branch of an object's key. `hint` is where it probably is, and becomes where the next one probably is:
    /// devices write their keys in one order, mostly that of the configuration.
    #[inline]
    pub fn key(&self, key: &str, hint: &mut usize) -> Option<&Branch> {
        if let Some((name, branch)) = self.children.get(*hint)
            && **name == *key
        {
            *hint += 1;
            return Some(branch);
        }
        let at = self.children.iter().position(|(name, _)| **name == *key)?;
        *hint = at + 1;
        Some(&self.children[at].1)
    }

    /// The branch of an array's element.
    pub fn index(&self, index: usize) -> Option<&Branch> {
        self.children.iter().find(|(name, _)| name.parse() == Ok(index)).map(|(_, branch)| branch)
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}
