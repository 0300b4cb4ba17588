//! What is only true of the store on disk.
