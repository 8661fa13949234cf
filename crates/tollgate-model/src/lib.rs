//! The neutral model of a gateway configuration: listeners, routes, filter chains, clusters, processors.
