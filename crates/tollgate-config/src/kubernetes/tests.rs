//! What objects of every kind have in common.

mod definitions;
