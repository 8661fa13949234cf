//! From text to tokens.

use crate::ExpressionError;

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Name(String),
    Int(u64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    /// In characters.
    pub(crate) position: usize,
}

/// The longer ones first.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".", ",", "(", ")",
    "[", "]", "{", "}", "=", "&",
];

/// Splits an expression.
pub(crate) fn tokens(source: &str) -> Result<Vec<Placed>, ExpressionError> {
    let mut reader = Reader { letters: source.chars().collect(), at: 0 };
    let mut tokens = Vec::new();
    loop {
        reader.skip_blanks();
        let position = reader.at;
        let token = reader.token()?;
        let is_end = token == Token::End;
        tokens.push(Placed { token, position });
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Reader {
    letters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.letters.get(self.at + ahead).copied()
    }

    fn starts_with(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(ahead, letter)| self.peek(ahead) == Some(letter))
    }

    fn error<T>(position: usize, problem: &str) -> Result<T, ExpressionError> {
        Err(ExpressionError { position, problem: problem.to_owned() })
    }

    fn skip_blanks(&mut self) {
        loop {
            while self.peek(0).is_some_and(|letter| letter.is_ascii_whitespace()) {
                self.at += 1;
            }
            if !self.starts_with("//") {
                return;
            }
            while self.peek(0).is_some_and(|letter| letter != '\n') {
                self.at += 1;
            }
        }
    }

    fn token(&mut self) -> Result<Token, ExpressionError> {
        let Some(first) = self.peek(0) else { return Ok(Token::End) };
        if let Some(prefix) = self.string_prefix() {
            return self.string(prefix);
        }
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_some_and(|next| next.is_ascii_digit()))
        {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            return Ok(Token::Name(name));
        }
        match SIGNS.iter().find(|sign| self.starts_with(sign)) {
            // They are there for a better message.
            Some(&"=") => Self::error(self.at, "`=` is no operator; `==` compares"),
            Some(&"&") => Self::error(self.at, "`&` is no operator; `&&` is"),
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Self::error(self.at, &format!("{first:?} has no meaning here")),
        }
    }

    fn take_while(&mut self, test: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&test) {
            self.at += 1;
        }
        self.letters[start..self.at].iter().collect()
    }

    fn number(&mut self) -> Result<Token, ExpressionError> {
        let start = self.at;
        let digits = |letter: char| letter.is_ascii_digit();
        if self.starts_with("0x") || self.starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|letter| letter.is_ascii_hexdigit());
            let number = u64::from_str_radix(&digits, 16);
            return self.whole(start, number.ok());
        }
        let mut text = self.take_while(digits);
        let mut is_double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(digits) {
            self.at += 1;
            text = format!("{text}.{}", self.take_while(digits));
            is_double = true;
        }
        let signed = usize::from(matches!(self.peek(1), Some('+' | '-')));
        if matches!(self.peek(0), Some('e' | 'E')) && self.peek(1 + signed).is_some_and(digits) {
            let sign: String = self.letters[self.at + 1..self.at + 1 + signed].iter().collect();
            self.at += 1 + signed;
            text = format!("{text}e{sign}{}", self.take_while(digits));
            is_double = true;
        }
        if is_double {
            return match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Token::Double(number)),
                _ => Self::error(start, "no number"),
            };
        }
        let number = text.parse();
        self.whole(start, number.ok())
    }

    fn whole(&mut self, start: usize, number: Option<u64>) -> Result<Token, ExpressionError> {
        let Some(number) = number else { return Self::error(start, "no whole number of 64 bits") };
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Ok(Token::Uint(number));
        }
        Ok(Token::Int(number))
    }

    /// Whether a string begins here.
    fn string_prefix(&self) -> Option<Prefix> {
        let mut prefix = Prefix::default();
        loop {
            match self.peek(prefix.length)? {
                'r' | 'R' if !prefix.raw => prefix.raw = true,
                'b' | 'B' if !prefix.bytes => prefix.bytes = true,
                '"' | '\'' => return Some(prefix),
                _ => return None,
            }
            prefix.length += 1;
        }
    }

    fn string(&mut self, prefix: Prefix) -> Result<Token, ExpressionError> {
        let start = self.at;
        self.at += prefix.length;
        let quote = self.letters[self.at];
        let long: String = [quote; 3].iter().collect();
        let is_long = self.starts_with(&long);
        let end = if is_long { long } else { quote.to_string() };
        self.at += end.len();
        let mut content = Content { bytes: Vec::new(), is_bytes: prefix.bytes };
        while !self.starts_with(&end) {
            let at = self.at;
            match self.peek(0) {
                None => return Self::error(start, "the string has no end"),
                Some('\n' | '\r') if !is_long => return Self::error(start, "the string has no end"),
                Some('\\') if !prefix.raw => {
                    self.at += 1;
                    if self.escape(&mut content).is_none() {
                        return Self::error(at, "no escape sequence");
                    }
                }
                Some(letter) => {
                    content.letter(letter);
                    self.at += 1;
                }
            }
        }
        self.at += end.len();
        if prefix.bytes {
            return Ok(Token::Bytes(content.bytes));
        }
        // Only letters were added.
        Ok(Token::String(String::from_utf8_lossy(&content.bytes).into_owned()))
    }

    /// Reads what follows a backslash.
    fn escape(&mut self, content: &mut Content) -> Option<()> {
        let letter = self.peek(0)?;
        self.at += 1;
        match letter {
            'a' => content.letter('\u{7}'),
            'b' => content.letter('\u{8}'),
            'f' => content.letter('\u{c}'),
            'n' => content.letter('\n'),
            'r' => content.letter('\r'),
            't' => content.letter('\t'),
            'v' => content.letter('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => content.letter(letter),
            'x' | 'X' => {
                let number = self.code(2, 16)?;
                content.code(number)?;
            }
            'u' if !content.is_bytes => {
                let number = self.code(4, 16)?;
                content.code(number)?;
            }
            'U' if !content.is_bytes => {
                let number = self.code(8, 16)?;
                content.code(number)?;
            }
            '0'..='3' => {
                self.at -= 1;
                let number = self.code(3, 8)?;
                content.code(number)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn code(&mut self, digits: usize, base: u32) -> Option<u32> {
        let text: String = self.letters.get(self.at..self.at + digits)?.iter().collect();
        self.at += digits;
        if !text.chars().all(|digit| digit.is_digit(base)) {
            return None;
        }
        u32::from_str_radix(&text, base).ok()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Prefix {
    raw: bool,
    bytes: bool,
    length: usize,
}

struct Content {
    bytes: Vec<u8>,
    is_bytes: bool,
}

impl Content {
    fn letter(&mut self, letter: char) {
        self.bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// A number is a letter in strings and a byte in bytes.
    fn code(&mut self, number: u32) -> Option<()> {
        if self.is_bytes {
            self.bytes.push(u8::try_from(number).ok()?);
        } else {
            self.letter(char::from_u32(number)?);
        }
        Some(())
    }
}
