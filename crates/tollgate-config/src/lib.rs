//! Reads gateway configurations and translates them into a snapshot.
