//! What a person does with a store while no gateway has it open: it is worked on as entries of a medium, one value in
//! memory at a time, without the engine.

mod catalogue;
mod listing;
mod walk;

pub(crate) use catalogue::Catalogue;
pub use listing::{Listing, LossListing, PartitionListing, ReaderListing};
pub(crate) use walk::blocks;
