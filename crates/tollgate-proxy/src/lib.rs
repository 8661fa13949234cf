//! The data plane: listeners, connections, the filter chain, upstreams.
