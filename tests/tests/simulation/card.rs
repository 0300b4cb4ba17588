//! The flash card and the committer that writes to it: where the plug is pulled, where writes fail.

use crate::world::{World, pass};
use rand::Rng as _;
use rand::rngs::StdRng;
use tidegate_store::{MemoryDisk, Step, Steps, Trouble};

/// What is always free beside the reserve, bytes.
const ROOM: u64 = 1 << 20;

/// The card.
#[derive(Clone, Default)]
pub struct Card {
    pub disk: MemoryDisk,
    /// Cards there were before it: a new one makes a new epoch.
    pub number: u64,
}

impl Card {
    /// Draws how much room there is in a boot.
    pub fn fill(&self, world: &World, chance: &mut StdRng, reserve: u64) {
        let used = self.disk.image().len() as u64;
        let tight = world.strikes(chance, 0.15);
        let room = if tight { chance.random_range(0..6_000) } else { ROOM };
        if tight {
            world.log(format!("card: only {room} bytes are free beside the reserve"));
        }
        self.disk.set_capacity(Some(used + reserve + room));
    }

    /// Makes group commits. Ends when the power goes in the middle of a write, or the store has ended.
    pub async fn commit(self, world: World, mut steps: Steps, mut chance: StdRng) {
        loop {
            pass(chance.random_range(1..40)).await;
            match steps.step() {
                Step::Nothing => {}
                Step::Took => self.trouble(&world, &mut chance),
                Step::Wrote => world.log("card: written"),
                Step::Published => world.log("card: published"),
                Step::Failed => world.log("card: a write failed"),
                Step::Ended => return world.log("card: the committer ended"),
            }
        }
    }

    fn trouble(&self, world: &World, chance: &mut StdRng) {
        if world.strikes(chance, 0.015) {
            let trouble = match chance.random_range(0..3) {
                0 => Trouble::Io,
                n => Trouble::PowerCut { written: n == 1 },
            };
            world.log(format!("card: {trouble:?} at the next write"));
            self.disk.trouble(trouble);
        }
    }
}
