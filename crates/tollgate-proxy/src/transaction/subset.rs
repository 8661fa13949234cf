//! What the route of a request says about the subset of its cluster.

use extproc::messages::Struct;

use super::core::Core;
use crate::upstream::RoutedRequest;

impl RoutedRequest for Core {
    fn metadata_match(&self) -> Option<&Struct> {
        let action = self.route_action()?;
        let route = &self.info.route.as_ref()?.route;
        Some(match self.decision.share(route) {
            Some(share) => &share.metadata_match,
            None => &action.metadata_match,
        })
    }
}
