//! The configuration of the demo: an example, with other ports.

use tollgate_config::Source;

/// What `examples/envoy/instructions.yaml` says.
const EXAMPLE: &str = include_str!("../../../../examples/envoy/instructions.yaml");

/// Where everything listens on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) gateway: u16,
    pub(crate) upstream: u16,
    pub(crate) processor: u16,
}

/// The ports of the example.
const WRITTEN: Ports = Ports { gateway: 10000, upstream: 8080, processor: 18080 };

impl Ports {
    /// The example with these ports instead of its own.
    pub(crate) fn bootstrap(self) -> Source {
        let text = EXAMPLE
            .replace(&field(WRITTEN.gateway), &field(self.gateway))
            .replace(&field(WRITTEN.upstream), &field(self.upstream))
            .replace(&field(WRITTEN.processor), &field(self.processor));
        Source { path: "examples/envoy/instructions.yaml".to_owned(), text }
    }
}

fn field(port: u16) -> String {
    format!("port_value: {port}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_of_the_example_is_replaced_once() {
        for port in [WRITTEN.gateway, WRITTEN.upstream, WRITTEN.processor] {
            assert_eq!(EXAMPLE.matches(&field(port)).count(), 1, "{port}");
        }
        assert_eq!(EXAMPLE.matches("port_value").count(), 3);
        let text = Ports { gateway: 1, upstream: 2, processor: 3 }.bootstrap().text;
        for port in 1..=3 {
            assert_eq!(text.matches(&field(port)).count(), 1, "{port}");
        }
    }

    #[test]
    fn the_configuration_is_accepted_without_a_word() {
        let outcome = tollgate_config::load(&[Ports { gateway: 0, ..WRITTEN }.bootstrap()]);
        assert_eq!(outcome.diagnostics, []);
        assert!(outcome.snapshot.is_some());
    }
}
