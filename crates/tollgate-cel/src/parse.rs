//! From tokens to what was written.

use crate::{
    ExpressionError,
    syntax::{Binary, Kind, Syntax, is_too_deep, too_deep},
    token::{Placed, Token, tokens},
};

/// Words that CEL keeps for itself.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

type Read = Result<Syntax, ExpressionError>;

/// Reads an expression.
pub(crate) fn parse(source: &str) -> Read {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0 };
    let syntax = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(syntax),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// The last one is [`Token::End`].
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn position(&self) -> usize {
        self.tokens[self.at].position
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    /// Goes past a sign, if it is the next token.
    fn take(&mut self, sign: &'static str) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), ExpressionError> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, expected: &str) -> ExpressionError {
        let found = match self.peek() {
            Token::End => "the expression ends".to_owned(),
            Token::Sign(sign) => format!("there is `{sign}`"),
            Token::Name(name) => format!("there is `{name}`"),
            Token::String(_) | Token::Bytes(_) => "there is a string".to_owned(),
            Token::Int(_) | Token::Uint(_) | Token::Double(_) => "there is a number".to_owned(),
        };
        ExpressionError { position: self.position(), problem: format!("{found} where {expected} should be") }
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if is_too_deep(self.depth) {
            return Err(too_deep(self.position()));
        }
        let position = self.position();
        let condition = self.or()?;
        let syntax = if self.take("?") {
            let yes = self.or()?;
            self.expect(":")?;
            let no = self.expression()?;
            Syntax::new(position, Kind::Conditional(Box::new([condition, yes, no])))?
        } else {
            condition
        };
        self.depth -= 1;
        Ok(syntax)
    }

    fn or(&mut self) -> Read {
        self.several("||", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Read {
        self.several("&&", Self::relation, Kind::And)
    }

    fn several(
        &mut self,
        sign: &'static str,
        part: fn(&mut Self) -> Read,
        kind: fn(Vec<Syntax>) -> Kind,
    ) -> Read {
        let position = self.position();
        let first = part(self)?;
        if *self.peek() != Token::Sign(sign) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(part(self)?);
        }
        Syntax::new(position, kind(parts))
    }

    fn relation(&mut self) -> Read {
        self.chain(Self::sum, |token| {
            Some(match token {
                Token::Sign("==") => Binary::Equal,
                Token::Sign("!=") => Binary::NotEqual,
                Token::Sign("<") => Binary::Less,
                Token::Sign("<=") => Binary::LessOrEqual,
                Token::Sign(">") => Binary::Greater,
                Token::Sign(">=") => Binary::GreaterOrEqual,
                Token::Name(name) if name == "in" => Binary::In,
                _ => return None,
            })
        })
    }

    fn sum(&mut self) -> Read {
        self.chain(Self::product, |token| {
            Some(match token {
                Token::Sign("+") => Binary::Add,
                Token::Sign("-") => Binary::Subtract,
                _ => return None,
            })
        })
    }

    fn product(&mut self) -> Read {
        self.chain(Self::unary, |token| {
            Some(match token {
                Token::Sign("*") => Binary::Multiply,
                Token::Sign("/") => Binary::Divide,
                Token::Sign("%") => Binary::Remainder,
                _ => return None,
            })
        })
    }

    fn chain(&mut self, part: fn(&mut Self) -> Read, operator: fn(&Token) -> Option<Binary>) -> Read {
        let position = self.position();
        let mut left = part(self)?;
        while let Some(operator) = operator(self.peek()) {
            self.at += 1;
            let right = part(self)?;
            left = Syntax::new(position, Kind::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    /// `!` and `-`, as often as they are there.
    fn unary(&mut self) -> Read {
        let position = self.position();
        let mut signs = Vec::new();
        loop {
            match self.peek() {
                Token::Sign("!") => signs.push(Kind::Not as fn(Box<Syntax>) -> Kind),
                Token::Sign("-") => {
                    if let Token::Int(_) | Token::Double(_) = self.tokens[self.at + 1].token {
                        break;
                    }
                    signs.push(Kind::Negative);
                }
                _ => break,
            }
            self.at += 1;
        }
        let mut syntax = self.member()?;
        for sign in signs.into_iter().rev() {
            syntax = Syntax::new(position, sign(Box::new(syntax)))?;
        }
        Ok(syntax)
    }

    fn member(&mut self) -> Read {
        let position = self.position();
        let mut syntax = self.primary()?;
        loop {
            let kind = if self.take(".") {
                let name = self.selector()?;
                if self.take("(") {
                    let arguments = self.list(")")?;
                    Kind::Call { target: Some(Box::new(syntax)), name, arguments }
                } else {
                    Kind::Member(Box::new(syntax), name)
                }
            } else if self.take("[") {
                let key = self.expression()?;
                self.expect("]")?;
                Kind::Index(Box::new(syntax), Box::new(key))
            } else if *self.peek() == Token::Sign("{")
                && matches!(syntax.kind, Kind::Name(_) | Kind::Member(..))
            {
                return Err(ExpressionError { position, problem: "messages cannot be made here".to_owned() });
            } else {
                return Ok(syntax);
            };
            syntax = Syntax::new(position, kind)?;
        }
    }

    fn selector(&mut self) -> Result<String, ExpressionError> {
        match self.next() {
            Token::Name(name) if !matches!(name.as_str(), "in" | "true" | "false" | "null") => Ok(name),
            _ => {
                self.at = self.at.saturating_sub(usize::from(*self.peek() != Token::End));
                Err(self.unexpected("a name"))
            }
        }
    }

    fn list(&mut self, end: &'static str) -> Result<Vec<Syntax>, ExpressionError> {
        let mut parts = Vec::new();
        while !self.take(end) {
            parts.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(parts)
    }

    fn primary(&mut self) -> Read {
        let position = self.position();
        let expected = "a value";
        let kind = match self.peek().clone() {
            Token::Int(number) => Kind::Int(int(number, position)?),
            Token::Sign("-") => {
                self.at += 1;
                match self.peek().clone() {
                    Token::Int(number) if number == 1 << 63 => Kind::Int(i64::MIN),
                    Token::Int(number) => Kind::Int(-int(number, position)?),
                    Token::Double(number) => Kind::Double(-number),
                    _ => return Err(self.unexpected("a number")),
                }
            }
            Token::Uint(number) => Kind::Uint(number),
            Token::Double(number) => Kind::Double(number),
            Token::String(text) => Kind::String(text),
            Token::Bytes(bytes) => Kind::Bytes(bytes),
            Token::Name(name) => match name.as_str() {
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                "null" => Kind::Null,
                "in" => return Err(self.unexpected(expected)),
                name if RESERVED.contains(&name) => {
                    return Err(ExpressionError { position, problem: format!("`{name}` is a word of CEL") });
                }
                _ => return self.name_or_call(),
            },
            // A name from the outermost container, which is the only one.
            Token::Sign(".") => {
                self.at += 1;
                return match self.peek() {
                    Token::Name(_) => self.name_or_call(),
                    _ => Err(self.unexpected("a name")),
                };
            }
            Token::Sign("(") => {
                self.at += 1;
                let syntax = self.expression()?;
                self.expect(")")?;
                return Ok(syntax);
            }
            Token::Sign("[") => {
                self.at += 1;
                let elements = self.list("]")?;
                return Syntax::new(position, Kind::List(elements));
            }
            Token::Sign("{") => {
                self.at += 1;
                let entries = self.entries()?;
                return Syntax::new(position, Kind::Map(entries));
            }
            Token::Sign(_) | Token::End => return Err(self.unexpected(expected)),
        };
        self.at += 1;
        Syntax::new(position, kind)
    }

    fn name_or_call(&mut self) -> Read {
        let position = self.position();
        let name = self.selector()?;
        if self.take("(") {
            let arguments = self.list(")")?;
            return Syntax::new(position, Kind::Call { target: None, name, arguments });
        }
        Syntax::new(position, Kind::Name(name))
    }

    fn entries(&mut self) -> Result<Vec<(Syntax, Syntax)>, ExpressionError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

fn int(number: u64, position: usize) -> Result<i64, ExpressionError> {
    i64::try_from(number)
        .map_err(|_| ExpressionError { position, problem: "no whole number of 64 bits".to_owned() })
}
