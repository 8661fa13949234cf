//! From parser events to the tree.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::{Content, Entry, Location, Node};
use crate::{
    Severity::{Error, Warning},
    diagnostic::Report,
};

/// Most nodes of a document, aliases expanded: no configuration comes near it, no bomb gets beyond it.
pub(crate) const MAX_NODES: usize = 1_000_000;
/// Most nodes of all documents of a text.
const MAX_NODES_OF_TEXT: usize = 4 * MAX_NODES;
/// Most bytes of scalars that anchors and aliases make copies of.
const MAX_COPIED: usize = 64 * 1024 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 128;

/// The documents of a text; empty ones are left out (CF-1). Problems go to `report`.
pub(crate) fn parse(text: &str, report: &Report) -> Vec<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        report,
        lines: text.lines().collect(),
        size: Size::default(),
        documents_before: 0,
        copied: 0,
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
    /// Of the present document so far.
    size: Size,
    /// Nodes of the documents before.
    documents_before: usize,
    /// Bytes of scalars that were copied.
    copied: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, Size)>,
    documents: Vec<Node>,
}

/// How large a part of a document is, aliases expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    /// Of scalars.
    bytes: usize,
}

/// A collection that has begun.
struct Open {
    anchor: usize,
    location: Location,
    before: Size,
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
                    self.report.add(Warning, location, "", "YAML tags have no effect".into(), None);
                }
                let content = match style {
                    ScalarStyle::Plain if is_null(&text) => Content::Null,
                    ScalarStyle::Plain => Content::Plain(text.into_owned()),
                    _ => Content::Quoted(text.into_owned()),
                };
                let bytes = match &content {
                    Content::Plain(text) | Content::Quoted(text) => text.len(),
                    _ => 0,
                };
                let node = Node { content, location };
                let size = Size { nodes: 1, bytes };
                self.count(size, location)?;
                self.remember(anchor, &node, size, location)?;
                self.place(node)
            }
            Event::Alias(anchor) => {
                let size = self.anchors.get(&anchor)?.1;
                self.count_copy(size.bytes, location)?;
                self.count(size, location)?;
                let node = self.anchors.get(&anchor)?.0.clone();
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
                let size = Size {
                    nodes: self.size.nodes - open.before.nodes,
                    bytes: self.size.bytes - open.before.bytes,
                };
                self.remember(open.anchor, &node, size, open.location)?;
                self.place(node)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                self.documents_before += self.size.nodes;
                self.size = Size::default();
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
        let before = self.size;
        self.count(Size { nodes: 1, bytes: 0 }, location)?;
        self.stack.push(Open { anchor, location, before, children });
        Some(())
    }

    fn count(&mut self, size: Size, location: Location) -> Option<()> {
        self.size.nodes += size.nodes;
        self.size.bytes += size.bytes;
        let message = if self.size.nodes > MAX_NODES {
            format!("more than {MAX_NODES} values in a document; aliases count as often as they are used")
        } else if self.documents_before + self.size.nodes > MAX_NODES_OF_TEXT {
            format!("more than {MAX_NODES_OF_TEXT} values in a file: make several files of it")
        } else {
            return Some(());
        };
        self.report.add(Error, location, "", message, None);
        None
    }

    /// Keeps a copy of a node for the aliases of its anchor; 0 is none.
    fn remember(&mut self, anchor: usize, node: &Node, size: Size, location: Location) -> Option<()> {
        if anchor > 0 {
            self.count_copy(size.bytes, location)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        Some(())
    }

    fn count_copy(&mut self, bytes: usize, location: Location) -> Option<()> {
        self.copied += bytes;
        if self.copied > MAX_COPIED {
            let message = format!("anchors and aliases stand for more than {MAX_COPIED} bytes");
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
        } else if let Some(location) = self.tab_near(location) {
            let message = "not valid YAML: a tab cannot indent a line".to_owned();
            self.report.add(Error, location, "", message, Some("indent with spaces".into()));
        } else {
            let help = self.help_with(location, reason);
            self.report.add(Error, location, "", format!("not valid YAML: {reason}"), help);
        }
    }

    /// The tab in the indentation of a line at which the parser stumbled, or of one beside it.
    fn tab_near(&self, location: Location) -> Option<Location> {
        let near = [location.line, location.line + 1, location.line.saturating_sub(1)];
        near.into_iter().find_map(|line| {
            let text = self.lines.get(line.checked_sub(1)?)?;
            let indentation = text.len() - text.trim_start().len();
            let column = text[..indentation].chars().position(|blank| blank == '\t')? + 1;
            Some(Location { line, column, length: 1 })
        })
    }

    /// What was probably meant where the parser found something else.
    fn help_with(&self, location: Location, reason: &str) -> Option<String> {
        let at = |line: usize| self.lines.get(line.checked_sub(1)?).copied();
        let near = [at(location.line), at(location.line.saturating_sub(1))];
        if near.into_iter().flatten().any(|line| line.contains("${")) {
            return Some(
                "environment variables are not substituted: render the file first, as envsubst does".into(),
            );
        }
        reason.starts_with("mapping values are not allowed").then(|| "put the value in quotes".into())
    }
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

#[cfg(test)]
mod tests;
