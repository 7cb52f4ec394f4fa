//! Reads which paths a source mentions: in `use` trees, in code, in attributes, and in the tokens of macros.
//!
//! It reads tokens and not a syntax tree, because what a macro is given, or expands to, is tokens only.
//! Comments are no tokens, documentation is passed over, and so are modules that are `#[cfg(test)]`.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};
use syn::LitStr;

/// One path, as it is written.
#[derive(Debug)]
pub(super) struct Mention {
    /// The module that it stands in.
    pub(super) module: Vec<String>,
    /// Its segments. `name!` is a macro that is called, `.name` a method, `*` a glob, and `<>` stands for
    /// the type that the path goes on from, as in `<T>::new`, `$crate` for the crate of a macro.
    pub(super) path: Vec<String>,
    pub(super) place: Place,
    pub(super) line: usize,
}

impl Mention {
    /// The path from the root of this crate, if it leads there.
    pub(super) fn absolute(&self) -> Option<Vec<String>> {
        let [head, rest @ ..] = self.path.as_slice() else { return None };
        let is_import = matches!(self.place, Place::Reexport(_) | Place::Use(_));
        if rest.is_empty() && !is_import {
            // The `crate` of `pub(crate)`, the `self` of a method.
            return None;
        }
        let mut base = match head.as_str() {
            "crate" | "$crate" | "hookwire" => Vec::new(),
            "self" => self.module.clone(),
            "super" => parent(&self.module),
            _ => return None,
        };
        let supers = rest.iter().take_while(|segment| *segment == "super").count();
        (0..supers).for_each(|_| base = parent(&base));
        base.extend_from_slice(&rest[supers..]);
        Some(base)
    }

    /// The name that the path gets here, if it is an import.
    pub(super) fn imported(&self) -> Option<&str> {
        match &self.place {
            Place::Reexport(name) | Place::Use(name) => Some(name),
            Place::Code | Place::Dyn => None,
        }
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map_or_else(Vec::new, |(_, parent)| parent.to_vec())
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Code,
    /// A bound of a trait object.
    Dyn,
    /// An import that is `pub`, wholly or in part, and the name that it gets here.
    Reexport(String),
    /// An import, and the name that it gets here.
    Use(String),
}

/// The paths that a source mentions, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct Reader {
    module: Vec<String>,
    /// Whether the import that is being read is `pub`.
    is_reexport: bool,
    pub(super) mentions: Vec<Mention>,
    /// The modules for tests only that stand in other files.
    pub(super) test_modules: Vec<String>,
}

impl Reader {
    pub(super) fn read(module: &str, source: TokenStream) -> Self {
        let module = module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut reader = Self { module, ..Self::default() };
        reader.code(&trees(source));
        reader
    }

    fn code(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            at += self.step(tokens, at);
        }
    }

    /// Reads what starts at `at`, and says how many tokens that were.
    fn step(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let rest = &tokens[at..];
        match &rest[0] {
            TokenTree::Group(group) => self.group(group),
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                self.test_module(rest).unwrap_or_else(|| self.attribute(rest))
            }
            TokenTree::Ident(ident) if ident == "mod" && is_brace(rest.get(2)) => self.inner_module(rest),
            TokenTree::Ident(ident) if ident == "use" && !is_punct(rest.get(1), '<') => {
                self.is_reexport = is_public(&tokens[..at]);
                self.import(rest, 1)
            }
            TokenTree::Ident(ident) if ident == "extern" && is_ident(rest.get(1), "crate") => {
                self.import(rest, 2)
            }
            TokenTree::Ident(ident) if ident == "dyn" => self.bounds(&rest[1..]),
            _ => self.path(tokens, at, Place::Code),
        }
    }

    fn group(&mut self, group: &Group) -> usize {
        self.code(&trees(group.stream()));
        1
    }

    fn inner_module(&mut self, rest: &[TokenTree]) -> usize {
        self.module.push(rest[1].to_string());
        self.code(&rest[2..3]);
        self.module.pop();
        3
    }

    /// Passes over `#[cfg(test)] mod name`, with its body or without, and whatever stands between.
    fn test_module(&mut self, rest: &[TokenTree]) -> Option<usize> {
        let TokenTree::Group(attribute) = rest.get(1)? else { return None };
        let is_mod = |token: &TokenTree| is_ident(Some(token), "mod");
        let is_end = |token: &TokenTree| is_punct(Some(token), ';') || is_brace(Some(token));
        let end = rest.iter().position(is_end).unwrap_or(rest.len());
        let at = rest[..end].iter().position(is_mod)?;
        if attribute.stream().to_string().replace(' ', "") != "cfg(test)" {
            return None;
        }
        if !is_brace(rest.get(end)) {
            self.test_modules.push(rest.get(at + 1)?.to_string());
        }
        Some((end + 1).min(rest.len()))
    }

    /// Reads `#[..]`. A string in it may be a path too, as in `#[serde(with = "..")]`.
    fn attribute(&mut self, rest: &[TokenTree]) -> usize {
        let before = if is_punct(rest.get(1), '!') { 2 } else { 1 };
        let Some(TokenTree::Group(group)) = rest.get(before) else { return 1 };
        let inner = trees(group.stream());
        if is_ident(inner.first(), "path") {
            self.add(vec!["#[path]".to_owned()], Place::Code, &rest[0]);
        }
        if !is_ident(inner.first(), "doc") {
            self.code(&opened(inner));
        }
        before + 1
    }

    /// Reads `use ..;` or `extern crate ..;`, of which the first `keywords` tokens are no path.
    fn import(&mut self, rest: &[TokenTree], keywords: usize) -> usize {
        let end = rest.iter().position(|token| is_punct(Some(token), ';')).unwrap_or(rest.len());
        self.use_trees(&rest[keywords.min(end)..end], &[]);
        end
    }

    fn use_trees(&mut self, tokens: &[TokenTree], prefix: &[String]) {
        let parts = tokens.split(|token| is_punct(Some(token), ','));
        parts.filter(|part| !part.is_empty()).for_each(|part| self.use_tree(part, prefix));
    }

    fn use_tree(&mut self, part: &[TokenTree], prefix: &[String]) {
        let renamed = part.iter().position(|token| is_ident(Some(token), "as")).unwrap_or(part.len());
        let mut path = prefix.to_vec();
        for token in &part[..renamed] {
            match token {
                TokenTree::Ident(ident) => path.push(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
                TokenTree::Group(group) => return self.use_trees(&trees(group.stream()), &path),
                _ => {}
            }
        }
        if path.len() > 1 {
            path.pop_if(|last| last == "self");
        }
        let name = part.get(renamed + 1).map(ToString::to_string).or_else(|| path.last().cloned());
        let place = if self.is_reexport { Place::Reexport } else { Place::Use };
        self.add(path, place(name.unwrap_or_default()), &part[0]);
    }

    /// Reads the bounds after `dyn`, and leaves their tokens to be read as code too.
    fn bounds(&mut self, rest: &[TokenTree]) -> usize {
        let (mut depth, mut expected) = (0, true);
        for (at, token) in rest.iter().enumerate() {
            depth += nesting(rest, at);
            match token {
                _ if depth < 0 || (depth == 0 && ends_bounds(token)) => break,
                _ if depth > 0 || is_ident(Some(token), "for") => {}
                TokenTree::Punct(punct) if punct.as_char() == '+' => expected = true,
                TokenTree::Punct(punct) if punct.as_char() == '\'' => expected = false,
                TokenTree::Group(group) if expected => _ = self.bounds(&trees(group.stream())),
                TokenTree::Ident(_) if std::mem::take(&mut expected) => _ = self.path(rest, at, Place::Dyn),
                _ => {}
            }
        }
        1
    }

    /// Reads the path that starts at `at`, if one does.
    fn path(&mut self, tokens: &[TokenTree], at: usize, place: Place) -> usize {
        let rooted = is_colons(&tokens[at..]);
        let mut end = if rooted { at + 2 } else { at };
        let mut path = Vec::new();
        while let Some(TokenTree::Ident(ident)) = tokens.get(end) {
            path.push(ident.to_string());
            end += 1;
            if !is_colons(&tokens[end..]) || !matches!(tokens.get(end + 2), Some(TokenTree::Ident(_))) {
                break;
            }
            end += 2;
        }
        if rooted && path.len() == 1 {
            path.insert(0, "<>".to_owned());
        }
        if let Some(last) = path.last_mut() {
            mark_call(last, tokens, at, end);
            if path[0] == "crate" && is_punct(before(tokens, at), '$') {
                path[0].insert(0, '$');
            }
            self.add(path, place, &tokens[at]);
        }
        end.max(at + 1) - at
    }

    fn add(&mut self, path: Vec<String>, place: Place, at: &TokenTree) {
        let line = at.span().start().line;
        self.mentions.push(Mention { module: self.module.clone(), path, place, line });
    }
}

/// Tells a macro that is called, and a method, from other names.
fn mark_call(name: &mut String, tokens: &[TokenTree], start: usize, end: usize) {
    let is_group = |at: usize| matches!(tokens.get(at), Some(TokenTree::Group(_)));
    if is_punct(tokens.get(end), '!') && is_group(end + 1) {
        name.push('!');
    } else if is_punct(before(tokens, start), '.') && is_group(end) {
        name.insert(0, '.');
    }
}

/// Whether what follows these tokens is `pub`, or `pub(..)`.
fn is_public(before: &[TokenTree]) -> bool {
    match before {
        [.., TokenTree::Ident(ident)] => ident == "pub",
        [.., TokenTree::Ident(ident), TokenTree::Group(group)] => {
            ident == "pub" && group.delimiter() == Delimiter::Parenthesis
        }
        _ => false,
    }
}

fn before(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
    at.checked_sub(1).map(|before| &tokens[before])
}

/// The tokens of an attribute, with those inside its strings.
fn opened(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let open = |token| match token {
        TokenTree::Group(group) => {
            let inner = opened(trees(group.stream())).into_iter().collect();
            vec![Group::new(group.delimiter(), inner).into()]
        }
        TokenTree::Literal(literal) => quoted(literal).unwrap_or_default(),
        token => vec![token],
    };
    tokens.into_iter().flat_map(open).collect()
}

/// The tokens of a string that holds a type, or a path, and nothing else: prose is not read.
fn quoted(literal: Literal) -> Option<Vec<TokenTree>> {
    let string: LitStr = syn::parse2(TokenTree::Literal(literal).into()).ok()?;
    string.parse::<syn::Type>().ok()?;
    string.parse().ok().map(trees)
}

/// Returns by how much the token at `at` deepens the nesting of generic arguments. The `>` of an arrow ends none.
fn nesting(tokens: &[TokenTree], at: usize) -> i32 {
    let arrow = at > 0 && is_punct(tokens.get(at - 1), '-');
    match &tokens[at] {
        TokenTree::Punct(punct) if punct.as_char() == '<' => 1,
        TokenTree::Punct(punct) if punct.as_char() == '>' && !arrow => -1,
        _ => 0,
    }
}

fn ends_bounds(token: &TokenTree) -> bool {
    let token = Some(token);
    is_brace(token) || is_ident(token, "where") || [',', ';', '='].iter().any(|&char| is_punct(token, char))
}

fn trees(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

fn is_ident(token: Option<&TokenTree>, name: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == name)
}

fn is_punct(token: Option<&TokenTree>, char: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

fn is_brace(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    is_punct(tokens.first(), ':') && is_punct(tokens.get(1), ':')
}
