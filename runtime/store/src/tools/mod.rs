//! What a person does with a store while no gateway has it open: it is worked on as entries of a medium, one value in
//! memory at a time, without the engine.

mod catalogue;
mod listing;
mod mend;
mod rewrite;
mod walk;

pub(crate) use catalogue::Catalogue;
pub use listing::{Listing, LossListing, PartitionListing, ReaderListing};
pub(crate) use mend::Mend;
pub use mend::Repaired;
pub(crate) use rewrite::{Rewrite, copy};
pub(crate) use walk::{Found, blocks, partitions};
