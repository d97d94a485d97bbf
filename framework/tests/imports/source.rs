//! A crate's source as tokens, and the paths in it that begin at the crate's root.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A file of a crate.
struct File {
    /// Its path for messages.
    name: String,
    /// Its module, from the crate's root; empty for the root itself.
    module: Vec<String>,
    tokens: Vec<TokenTree>,
}

/// A path that names something at the crate's root.
pub struct Import {
    pub file: String,
    pub line: usize,
    /// The path as it is meant: `crate::` and what follows.
    pub path: String,
    /// The top module it stands in; none for the root.
    pub top: Option<String>,
    /// The name at the root; none where the path takes the root as a whole.
    pub target: Option<String>,
}

/// All files of a crate.
pub struct Source {
    files: Vec<File>,
    /// The crate's name where it uses that for itself.
    own: Option<&'static str>,
}

impl Source {
    /// Reads the files below a folder; `shown` is its name in messages, `root` the file of the crate's root.
    pub fn read(folder: &Path, shown: &str, root: &str, own: Option<&'static str>) -> Self {
        let mut texts = Vec::new();
        gather(folder, "", &mut texts);
        texts.sort();
        assert!(texts.iter().any(|(path, _)| path == root), "{} has a file {root}", folder.display());
        Self::new(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())), shown, root, own)
    }

    /// Takes files as pairs of a path below the source folder and a text.
    pub fn new<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        shown: &str,
        root: &str,
        own: Option<&'static str>,
    ) -> Self {
        let file = |(path, text): (&str, &str)| {
            let name = format!("{shown}/{path}");
            let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
            let module = if path == root { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
            File { name, module, tokens: tokens.into_iter().collect() }
        };
        Self { files: files.into_iter().map(file).collect(), own }
    }

    /// The top modules, each once.
    pub fn tops(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        self.files
            .iter()
            .filter_map(|file| file.module.first())
            .map(String::as_str)
            .filter(move |top| seen.insert(*top))
    }

    /// The top module behind every other name at the root: re-exports, and macros that are exported. None stands for
    /// another crate.
    pub fn homes(&self) -> HashMap<String, Option<String>> {
        let tops: HashSet<&str> = self.tops().collect();
        let mut homes = HashMap::new();
        for file in &self.files {
            if let Some(top) = file.module.first() {
                exported(&file.tokens, &mut |name| drop(homes.insert(name, Some(top.clone()))));
                continue;
            }
            for at in (0..file.tokens.len()).filter(|at| is(&file.tokens[*at], "use")) {
                for leaf in leaves(until_semicolon(&file.tokens[at + 1..])) {
                    let path: Vec<_> =
                        leaf.path.iter().filter(|name| !["crate", "self"].contains(&name.as_str())).collect();
                    let home = path.first().filter(|name| tops.contains(name.as_str())).map(|name| (*name).clone());
                    homes.insert(leaf.name, home);
                }
            }
        }
        homes
    }

    /// Every path that begins at the crate's root, also where it got there by `super`.
    pub fn imports(&self) -> Vec<Import> {
        let mut all = Vec::new();
        for file in &self.files {
            let mut walk = Walk { file, own: self.own, module: file.module.clone(), found: Vec::new() };
            walk.group(&file.tokens);
            all.append(&mut walk.found);
        }
        all
    }
}

fn gather(folder: &Path, below: &str, into: &mut Vec<(String, String)>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("the folder can be listed")) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            gather(&path, &format!("{below}{name}/"), into);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            into.push((format!("{below}{name}"), text));
        }
    }
}

/// A walk through one file.
struct Walk<'a> {
    file: &'a File,
    own: Option<&'static str>,
    /// The module at hand.
    module: Vec<String>,
    found: Vec<Import>,
}

impl Walk<'_> {
    fn group(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while at < tokens.len() {
            let rest = &tokens[at..];
            at += 1;
            match rest {
                [token, TokenTree::Ident(name), TokenTree::Group(body), ..]
                    if is(token, "mod") && body.delimiter() == Delimiter::Brace =>
                {
                    self.module.push(name.to_string());
                    self.group(&list(body));
                    self.module.pop();
                    at += 2;
                }
                // `impl Trait + use<'a>` is no import.
                [token, next, ..] if is(token, "use") && !is(next, "<") => {
                    let tree = until_semicolon(&rest[1..]);
                    leaves(tree).iter().for_each(|leaf| self.path(&leaf.path, leaf.line));
                    at += tree.len();
                }
                [TokenTree::Ident(start), ..] => {
                    let (path, length) = straight(rest);
                    if length > 1 {
                        self.path(&path, start.span().start().line);
                        at += length - 1;
                    }
                }
                [TokenTree::Group(group), ..] => self.group(&list(group)),
                _ => (),
            }
        }
    }

    /// Notes a path if it names something at the root.
    fn path(&mut self, path: &[String], line: usize) {
        let mut module = self.module.clone();
        let mut names = path.iter().enumerate().peekable();
        while let Some((at, name)) = names.peek().copied() {
            match name.as_str() {
                "crate" => module.clear(),
                name if at == 0 && Some(name) == self.own => module.clear(),
                "super" => drop(module.pop()),
                "self" => (),
                // A path from nowhere names a child, something imported, or another crate.
                _ if at == 0 => return,
                _ => break,
            }
            names.next();
        }
        if !module.is_empty() {
            return;
        }
        let target: Vec<&str> = names.map(|(_, name)| name.as_str()).collect();
        self.found.push(Import {
            file: self.file.name.clone(),
            line,
            path: [&["crate"], &target[..]].concat().join("::"),
            top: self.module.first().cloned(),
            target: target.first().filter(|name| **name != "*").map(|name| (*name).to_owned()),
        });
    }
}

/// A name that a `use` brings in.
struct Leaf {
    path: Vec<String>,
    /// The name it has afterwards.
    name: String,
    line: usize,
}

/// The names of a use tree.
fn leaves(tree: &[TokenTree]) -> Vec<Leaf> {
    let mut all = Vec::new();
    branch(tree, &[], &mut all);
    all
}

fn branch(tree: &[TokenTree], before: &[String], into: &mut Vec<Leaf>) {
    for part in tree.split(|token| is(token, ",")) {
        let mut path = before.to_vec();
        let mut alias = None;
        let mut tokens = part.iter();
        let mut line = None;
        let mut nested = false;
        while let Some(token) = tokens.next() {
            line.get_or_insert(token.span().start().line);
            match token {
                token if is(token, "as") => alias = tokens.next().map(ToString::to_string),
                TokenTree::Ident(name) => path.push(name.to_string()),
                token if is(token, "*") => path.push("*".to_owned()),
                TokenTree::Group(group) => {
                    branch(&list(group), &path, into);
                    nested = true;
                }
                _ => (),
            }
        }
        if let (Some(line), false) = (line, nested) {
            let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
            into.push(Leaf { path, name, line });
        }
    }
}

/// The path that tokens begin with, `a::b::c`, and the number of its tokens; a length of one is a single name.
fn straight(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut path = vec![tokens[0].to_string()];
    let mut length = 1;
    while let [a, b, next, ..] = &tokens[length..]
        && is(a, ":")
        && is(b, ":")
    {
        match next {
            TokenTree::Ident(name) => path.push(name.to_string()),
            token if is(token, "*") => path.push("*".to_owned()),
            // `crate::$name`: what it is stands where the macro is called.
            token if is(token, "$") => path.push("$".to_owned()),
            _ => break,
        }
        length += 3;
    }
    (path, length)
}

/// Hands over the name of every macro with `#[macro_export]`.
fn exported(tokens: &[TokenTree], found: &mut impl FnMut(String)) {
    let mut export = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                export |= list(group).iter().any(|inner| is(inner, "macro_export"));
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                exported(&list(group), found);
                export = false;
            }
            token if is(token, "macro_rules") && export => {
                if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                    found(name.to_string());
                }
            }
            _ => (),
        }
    }
}

fn until_semicolon(tokens: &[TokenTree]) -> &[TokenTree] {
    let end = tokens.iter().position(|token| is(token, ";"));
    &tokens[..end.unwrap_or(tokens.len())]
}

fn list(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

/// The token is this word or sign.
fn is(token: &TokenTree, text: &str) -> bool {
    match token {
        TokenTree::Ident(word) => word == text,
        TokenTree::Punct(sign) => text.len() == 1 && text.starts_with(sign.as_char()),
        _ => false,
    }
}
