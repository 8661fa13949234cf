//! Filters that a matcher chooses by the request: `ExtensionWithMatcher`, with `composite` and `SkipFilter`.

use serde::Serialize;

use crate::{matching::Matcher, route::Fraction};

/// A filter, and a matcher that says what becomes of it. `F` is what a filter does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matched<F> {
    /// Looked at when the first head of the request comes by.
    pub matcher: Matcher<MatchAction<F>>,
    /// What works where the matcher finds nothing; `None` = nothing (`composite`).
    pub filter: Option<F>,
}

/// What becomes of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum MatchAction<F> {
    /// It is left out.
    Skip,
    /// Another one works in its place, for a share of the requests.
    Execute {
        /// The share; the filter is left out for the others. Default all.
        sample: Fraction,
        /// What works.
        filter: F,
    },
}

impl<F> Matched<F> {
    /// Shows every filter that may work.
    pub fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a F)) {
        self.matcher.visit(&mut |action| {
            if let MatchAction::Execute { filter, .. } = action {
                visit(filter);
            }
        });
        self.filter.iter().for_each(visit);
    }
}
