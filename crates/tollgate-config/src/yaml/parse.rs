//! From parser events to the tree.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{Content, Entry, Location, Node};
use crate::{
    Severity::{Error, Warning},
    diagnostic::Report,
};

/// Most nodes of a document, aliases expanded: no configuration comes near it, no bomb gets beyond it.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

/// The documents of a text; empty ones are left out (CF-1). Problems go to `report`.
pub(crate) fn parse(text: &str, report: &Report) -> Vec<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        report,
        lines: text.lines().collect(),
        nodes: 0,
        stack: Vec::new(),
        anchors: HashMap::new(),
        documents: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => {
                if builder.event(event, &span).is_none() {
                    return Vec::new();
                }
            }
            Err(error) => {
                let marker = error.marker();
                let location = Location { line: marker.line(), column: marker.col() + 1, length: 1 };
                builder.report_syntax(location, &error.info());
                return Vec::new();
            }
        }
    }
    builder.documents
}

struct Builder<'a> {
    report: &'a Report,
    lines: Vec<&'a str>,
    nodes: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    documents: Vec<Node>,
}

/// A collection that has begun.
struct Open {
    anchor: usize,
    location: Location,
    first_node: usize,
    children: Children,
}

enum Children {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, keys: HashSet<String>, key: Option<Node> },
}

impl Builder<'_> {
    /// Takes an event; `None` ends the parse, the reason is reported.
    fn event(&mut self, event: Event<'_>, span: &Span) -> Option<()> {
        let location = self.location(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some_and(|tag| tag.is_custom()) {
                    self.report.add(Warning, location, "", "YAML tags have no meaning here".into(), None);
                }
                let content = match style {
                    ScalarStyle::Plain if is_null(&text) => Content::Null,
                    ScalarStyle::Plain => Content::Plain(text.into_owned()),
                    _ => Content::Quoted(text.into_owned()),
                };
                let node = Node { content, location };
                if anchor > 0 {
                    self.anchors.insert(anchor, (node.clone(), 1));
                }
                self.count(1, location)?;
                self.place(node)
            }
            Event::Alias(anchor) => {
                let (node, size) = self.anchors.get(&anchor)?.clone();
                self.count(size, location)?;
                self.place(node)
            }
            Event::SequenceStart(_, anchor, _) => self.open(anchor, location, Children::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let children = Children::Mapping { entries: Vec::new(), keys: HashSet::new(), key: None };
                self.open(anchor, location, children)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.stack.pop()?;
                let content = match open.children {
                    Children::Sequence(nodes) => Content::Sequence(nodes),
                    Children::Mapping { entries, .. } => Content::Mapping(entries),
                };
                let node = Node { content, location: open.location };
                if open.anchor > 0 {
                    self.anchors.insert(open.anchor, (node.clone(), self.nodes - open.first_node));
                }
                self.place(node)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Some(())
            }
            _ => Some(()),
        }
    }

    fn open(&mut self, anchor: usize, location: Location, children: Children) -> Option<()> {
        if self.stack.len() >= MAX_DEPTH {
            self.report.add(Error, location, "", format!("nested deeper than {MAX_DEPTH} levels"), None);
            return None;
        }
        let first_node = self.nodes;
        self.count(1, location)?;
        self.stack.push(Open { anchor, location, first_node, children });
        Some(())
    }

    fn count(&mut self, nodes: usize, location: Location) -> Option<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values; aliases count as often as they are used");
            self.report.add(Error, location, "", message, None);
            return None;
        }
        Some(())
    }

    fn place(&mut self, node: Node) -> Option<()> {
        let report = self.report;
        let mut odd_key = None;
        match self.stack.last_mut().map(|open| &mut open.children) {
            None => {
                if node.content != Content::Null {
                    self.documents.push(node);
                }
            }
            Some(Children::Sequence(nodes)) => nodes.push(node),
            Some(Children::Mapping { entries, keys, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => {
                    let text = match key.content {
                        Content::Plain(text) | Content::Quoted(text) => text,
                        Content::Null => "null".to_owned(),
                        Content::Sequence(_) | Content::Mapping(_) => {
                            odd_key = Some(key.location);
                            String::new()
                        }
                    };
                    if odd_key.is_some() {
                        // Reported below.
                    } else if keys.insert(text.clone()) {
                        entries.push(Entry { key: text, key_location: key.location, value: node });
                    } else {
                        let message = format!("the key \"{text}\" is given twice in the same mapping");
                        report.add(Error, key.location, "", message, Some("remove one of them".into()));
                    }
                }
            },
        }
        if let Some(location) = odd_key {
            self.report_syntax(location, "a key must be a text");
            return None;
        }
        Some(())
    }

    fn location(&self, span: &Span) -> Location {
        let length = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        Location { line: span.start.line(), column: span.start.col() + 1, length }
    }

    /// Reports that the text is not YAML; templates that were not rendered are the most likely reason (CF-15).
    fn report_syntax(&self, location: Location, reason: &str) {
        let template = self.lines.iter().enumerate().find_map(|(index, line)| {
            let at = ["{{<", "{{%", "{{ .", "{{."].iter().find_map(|mark| line.find(mark))?;
            Some((index, line[..at].chars().count()))
        });
        if let Some((line, column)) = template {
            let location = Location { line: line + 1, column: column + 1, length: 3 };
            let message = "the document still contains template placeholders".to_owned();
            self.report.add(Error, location, "", message, Some("render the template first".into()));
        } else {
            self.report.add(Error, location, "", format!("not valid YAML: {reason}"), None);
        }
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests;
