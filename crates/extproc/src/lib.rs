//! The ext_proc protocol without I/O: messages, wire codec, header and body mutation, processing modes, and the exchange state machine.
