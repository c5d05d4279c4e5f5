//! YAML or JSON text → values that know their lines.
//!
//! One pass gives both the JSON that [`crate::parse()`] reads and the place of every JSON pointer. It must never know
//! what the documents mean.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};
use std::fmt;

/// A place in a text; both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A document with the places of its members.
pub(crate) struct Tree {
    place: Place,
    node: Node,
}

enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Object(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// A text that is no YAML.
pub(crate) struct Syntax {
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// All documents of a text; empty ones are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<Tree>, Syntax> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        // `defaultMode: 0440` is octal to kubectl, which reads YAML 1.1.
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    let nodes: Vec<Spanned<Node>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| Syntax {
            place: error.location().map_or(Place { line: 1, column: 1 }, place),
            message: error.to_string(),
        })?;
    Ok(nodes
        .into_iter()
        .map(|node| Tree { place: place(node.referenced), node: node.value })
        .filter(|tree| !matches!(tree.node, Node::Scalar(Value::Null)))
        .collect())
}

fn place(location: serde_saphyr::Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Place { line: number(location.line()), column: number(location.column()) }
}

impl Tree {
    /// Where the document begins.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// The document without its places.
    pub(crate) fn value(&self) -> Value {
        self.node.value()
    }

    /// Where the member that `pointer` names is written (its key); of a missing one, its closest parent.
    pub(crate) fn locate(&self, pointer: &str) -> Place {
        let mut found = self.place;
        let mut at = &self.node;
        for token in pointer.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            match at {
                Node::Object(members) => match members.iter().find(|(key, _)| key.value == token) {
                    Some((key, node)) => {
                        found = place(key.referenced);
                        at = &node.value;
                    }
                    None => return found,
                },
                Node::List(items) => match token.parse::<usize>().ok().and_then(|index| items.get(index)) {
                    Some(node) => {
                        found = place(node.referenced);
                        at = &node.value;
                    }
                    None => return found,
                },
                Node::Scalar(_) => return found,
            }
        }
        found
    }
}

impl Node {
    fn value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.value.value()).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(key, node)| (key.value.clone(), node.value.value()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visit)
    }
}

struct Visit;

impl<'de> Visitor<'de> for Visit {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // What JSON cannot hold would otherwise become null without a word.
        Number::from_f64(value)
            .map(|number| Node::Scalar(Value::Number(number)))
            .ok_or_else(|| E::custom("infinity and NaN are no JSON numbers"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // in tests a panic is the message
mod tests {
    use super::*;

    #[test]
    fn every_member_knows_its_line() {
        let text =
            "# comment\na:\n  b: [1, x]\n  \"c/d\": {e: null}\n---\n---\nf:\n- g: yes\n- |\n  two\n  lines\n";
        let trees = documents(text).map_err(|error| error.message).unwrap();
        assert_eq!(trees.len(), 2);
        assert_eq!(trees[0].value(), serde_json::json!({"a": {"b": [1, "x"], "c/d": {"e": null}}}));
        assert_eq!(trees[0].locate("/a/b"), Place { line: 3, column: 3 });
        assert_eq!(trees[0].locate("/a/b/1").line, 3);
        assert_eq!(trees[0].locate("/a/c~1d/e").line, 4);
        assert_eq!(trees[0].locate("/a/missing/deeper").line, 2);
        assert_eq!(trees[1].locate("/f/0/g"), Place { line: 8, column: 3 });
        assert_eq!(trees[1].value(), serde_json::json!({"f": [{"g": true}, "two\nlines\n"]}));
    }

    #[test]
    fn a_mode_in_octal_means_what_it_means_to_kubectl() {
        let trees =
            documents("a: 0440\nb: 0o440\nc: \"0440\"\nd: 1.50\ne: 10\n").map_err(|error| error.message);
        let wanted = serde_json::json!({"a": 288, "b": 288, "c": "0440", "d": 1.5, "e": 10});
        assert_eq!(trees.unwrap()[0].value(), wanted);
    }

    #[test]
    fn a_mistake_in_the_text_has_a_line() {
        for (text, line) in [
            ("a: 1\nb: [1\nc: 2\n", 3),
            ("a: 1\na: 2\n", 2),
            ("a: 1\n\tb: 2\n", 1),
            ("a: *nowhere\n", 1),
            ("a: 1\nb: .inf\n", 2),
        ] {
            let error = documents(text).err().unwrap();
            assert_eq!(error.place.line, line, "{text:?}: {}", error.message);
        }
    }
}
