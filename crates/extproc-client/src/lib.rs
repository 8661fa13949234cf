//! Carries ext_proc exchanges to processors over HTTP/2.
