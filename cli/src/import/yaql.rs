//! Reads YAQL, the expression language of Orquesta's `<% … %>`.

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A string.
    Text(String),
    /// A number, or true, false and null, as Jinja writes them.
    Word(String),
    /// A bare name, as an argument: `ctx(name)`.
    Name(String),
    /// `$`, the element to which a lambda is applied.
    Element,
    Call(String, Vec<Expr>),
    Method(Box<Expr>, String, Vec<Expr>),
    Field(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Unary(&'static str, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// `name => value`, as an argument.
    Pair(Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(String),
    Name(String),
    Sign(&'static str),
}

const SIGNS: [&str; 22] = [
    "=>", "!=", "<=", ">=", "=~", "!~", "->", "(", ")", "[", "]", "{", "}", ",", ".", "=", "<", ">", "+", "-", "*", "/",
];

/// Maximum depth of parentheses and the like: the reader is recursive.
const MAX_DEPTH: usize = 60;

/// Reads one expression, or several separated by commas, which form a list. The error says what is not understood.
pub fn read(text: &str) -> Result<Expr, String> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
    let mut all = vec![reader.expression(0)?];
    while reader.take(",") {
        all.push(reader.expression(0)?);
    }
    match (reader.tokens.get(reader.at), all.len()) {
        (Some(token), _) => Err(format!("unexpected {}", token.shown())),
        (None, 1) => all.pop().ok_or_else(String::new),
        (None, _) => Ok(Expr::List(all)),
    }
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Token::Text(text) => format!("'{text}'"),
            Token::Number(text) | Token::Name(text) => text.clone(),
            Token::Sign(sign) => (*sign).to_owned(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let used = match first {
            '\'' | '"' => {
                let (value, used) = string(rest, first)?;
                tokens.push(Token::Text(value));
                used
            }
            '$' => {
                tokens.push(Token::Name("$".to_owned()));
                1
            }
            c if c.is_ascii_digit() => {
                let used = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                tokens.push(Token::Number(rest[..used].to_owned()));
                used
            }
            c if c.is_alphabetic() || c == '_' => {
                let used = word(rest);
                tokens.push(Token::Name(rest[..used].to_owned()));
                used
            }
            c => {
                let sign =
                    SIGNS.iter().find(|sign| rest.starts_with(**sign)).ok_or_else(|| format!("unexpected {c}"))?;
                tokens.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

/// Returns a string and how many bytes it takes with its quotes.
fn string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            c if c == quote => return Ok((value, at + 1)),
            c => value.push(c),
        }
    }
    Err("a string is not closed".to_owned())
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Returns how strongly an operator binds, and its name in Jinja.
fn binding(token: &Token) -> Option<(u8, &'static str)> {
    Some(match token {
        Token::Name(name) => match name.as_str() {
            "or" => (1, "or"),
            "and" => (2, "and"),
            "in" => (4, "in"),
            "mod" => (6, "%"),
            _ => return None,
        },
        Token::Sign(sign) => match *sign {
            "=" => (4, "=="),
            "!=" => (4, "!="),
            "<" => (4, "<"),
            ">" => (4, ">"),
            "<=" => (4, "<="),
            ">=" => (4, ">="),
            "=~" => (4, "=~"),
            "!~" => (4, "!~"),
            "+" => (5, "+"),
            "-" => (5, "-"),
            "*" => (6, "*"),
            "/" => (6, "/"),
            _ => return None,
        },
        _ => return None,
    })
}

impl Reader {
    fn take(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(next)) if *next == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) {
            return Ok(());
        }
        let next = self.tokens.get(self.at).map_or("the end".to_owned(), Token::shown);
        Err(format!("expected {sign} instead of {next}"))
    }

    fn expression(&mut self, least: u8) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("too deeply nested".to_owned());
        }
        let mut left = self.unary()?;
        while let Some((strength, operator)) = self.tokens.get(self.at).and_then(binding) {
            if strength < least {
                break;
            }
            self.at += 1;
            let right = self.expression(strength + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) if name == "not" => {
                self.at += 1;
                Ok(Expr::Unary("not", Box::new(self.expression(3)?)))
            }
            Some(Token::Sign("-")) => {
                self.at += 1;
                Ok(Expr::Unary("-", Box::new(self.expression(7)?)))
            }
            _ => self.postfix(),
        }
    }

    fn postfix(&mut self) -> Result<Expr, String> {
        let mut value = self.primary()?;
        loop {
            if self.take(".") {
                let name = match self.tokens.get(self.at) {
                    Some(Token::Name(name)) => name.clone(),
                    other => return Err(format!("unexpected {}", other.map_or("end".to_owned(), Token::shown))),
                };
                self.at += 1;
                value = match self.take("(") {
                    true => Expr::Method(Box::new(value), name, self.arguments(")")?),
                    false => Expr::Field(Box::new(value), name),
                };
            } else if self.take("[") {
                let index = self.expression(0)?;
                self.expect("]")?;
                value = Expr::Index(Box::new(value), Box::new(index));
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("it ends too early")?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Number(number) => Ok(Expr::Word(number)),
            Token::Name(name) => match name.as_str() {
                "$" => Ok(Expr::Element),
                "true" | "false" => Ok(Expr::Word(name)),
                "null" | "none" => Ok(Expr::Word("none".to_owned())),
                _ if self.take("(") => Ok(Expr::Call(name, self.arguments(")")?)),
                _ => Ok(Expr::Name(name)),
            },
            Token::Sign("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => Ok(Expr::List(self.arguments("]")?)),
            Token::Sign("{") => {
                let pairs = self.arguments("}")?.into_iter().map(|entry| match entry {
                    Expr::Pair(key, value) => Ok((*key, *value)),
                    _ => Err("an entry of a map has no =>".to_owned()),
                });
                Ok(Expr::Map(pairs.collect::<Result<_, _>>()?))
            }
            token => Err(format!("unexpected {}", token.shown())),
        }
    }

    fn arguments(&mut self, end: &str) -> Result<Vec<Expr>, String> {
        let mut arguments = Vec::new();
        while !self.take(end) {
            if !arguments.is_empty() {
                self.expect(",")?;
            }
            let argument = self.expression(0)?;
            arguments.push(match self.take("=>") {
                true => Expr::Pair(Box::new(argument), Box::new(self.expression(0)?)),
                false => argument,
            });
        }
        Ok(arguments)
    }
}
