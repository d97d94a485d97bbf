//! What the Markdown files point to exists: pages, headings, files of the repository and shipped configs.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The pages outside of the book.
const PAGES: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
/// The book's pages.
const BOOK: &str = "docs/src";
/// The word that stands for any name in a path, such as `plugins/criteria/src/NAME.rs`.
const ANY: &str = "NAME";

/// What a page points to, with lines, and what others may point to in it.
#[derive(Default)]
struct Page {
    links: Vec<(usize, String)>,
    /// Words of code spans and code blocks.
    words: Vec<(usize, String)>,
    anchors: HashSet<String>,
}

impl Page {
    fn new(text: &str) -> Self {
        let mut page = Self::default();
        let (mut heading, mut block) = (None::<String>, false);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.anchors.extend(heading.take().map(|text| anchor(&text))),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line, dest_url.into_string()));
                }
                Event::Start(Tag::CodeBlock(_)) => block = true,
                Event::End(TagEnd::CodeBlock) => block = false,
                Event::Text(text) if block => page.code(line, &text),
                Event::Code(text) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&text));
                    page.code(line, &text);
                }
                Event::Text(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
                _ => (),
            }
        }
        page
    }

    fn code(&mut self, first: usize, text: &CowStr<'_>) {
        for (at, line) in text.lines().enumerate() {
            let words = line.split(|c: char| !(c.is_alphanumeric() || "._-/*".contains(c)));
            let words = words.map(|word| word.trim_end_matches('.')).filter(|word| !word.is_empty());
            self.words.extend(words.map(|word| (first + at, word.to_owned())));
        }
    }
}

/// The name that renderers give to a heading.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().chars().filter(|c| c.is_alphanumeric() || " _-".contains(*c));
    letters.collect::<String>().to_lowercase().replace(' ', "-")
}

/// A repository, or what looks like one.
struct Repository {
    root: PathBuf,
    /// The folders at its root; a path begins with one of them.
    folders: HashSet<String>,
    /// The groups of configs.
    groups: HashSet<String>,
}

impl Repository {
    fn new(root: PathBuf) -> Self {
        let keep = |name: &String| !["target", ".git"].contains(&name.as_str());
        let folders = names(&root).into_iter().filter(|name| root.join(name).is_dir()).filter(keep).collect();
        let groups = names(&root.join("configs")).into_iter().filter(|name| !name.contains('.')).collect();
        Self { root, folders, groups }
    }

    /// What is wrong with a link of a page.
    fn refused_link(&self, page: &str, link: &str) -> Option<String> {
        if link.starts_with("https://") || link.starts_with("http://") {
            return None;
        }
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let folder = Path::new(page).parent().unwrap_or(Path::new(""));
        let target = if file.is_empty() { PathBuf::from(page) } else { folder.join(file) };
        let Ok(found) = self.root.join(&target).canonicalize() else {
            return Some(format!("{} does not exist", target.display()));
        };
        let book = self.root.join(BOOK).canonicalize();
        if page.starts_with(BOOK) && book.is_ok_and(|book| !found.starts_with(book)) {
            return Some("it leads out of the book".to_owned());
        }
        let anchors = || Page::new(&std::fs::read_to_string(&found).unwrap_or_default()).anchors;
        (!anchor.is_empty() && !anchors().contains(anchor)).then(|| format!("{} has no such heading", target.display()))
    }

    /// What is wrong with a word of code, if it is a path of the repository, a page or a shipped config.
    fn refused_word(&self, word: &str) -> Option<String> {
        let parts: Vec<_> = word.trim_end_matches('/').split('/').collect();
        let path = match parts[..] {
            [first, _, ..] if self.folders.contains(first) => word.to_owned(),
            [group, name] if self.groups.contains(group) && !name.contains(['.', '*']) && !name.is_empty() => {
                format!("configs/{group}/{name}.toml")
            }
            [page] if page.ends_with(".md") => page.to_owned(),
            _ => return None,
        };
        let parts: Vec<_> = path.trim_end_matches('/').split('/').collect();
        (!matches(&self.root, &parts)).then(|| format!("{path} does not exist"))
    }

    /// Every wrong reference of a page.
    fn refused(&self, name: &str, text: &str) -> Vec<String> {
        let page = Page::new(text);
        let links = page.links.iter().map(|(line, link)| (line, link, self.refused_link(name, link)));
        let words = page.words.iter().map(|(line, word)| (line, word, self.refused_word(word)));
        let all = links.chain(words);
        all.filter_map(|(line, what, why)| Some(format!("{name}:{line}: `{what}`: {}", why?))).collect()
    }
}

/// A path exists whose parts are these; `*` and `NAME` in a part stand for any text.
fn matches(folder: &Path, parts: &[&str]) -> bool {
    let [part, rest @ ..] = parts else { return true };
    match part.split_once('*').or_else(|| part.split_once(ANY)) {
        None => folder.join(part).exists() && matches(&folder.join(part), rest),
        Some((head, tail)) => {
            let fits =
                |name: &String| name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
            names(folder).iter().filter(|name| fits(name)).any(|name| matches(&folder.join(name), rest))
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn repository() -> Repository {
    Repository::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

fn book() -> Vec<String> {
    let mut pages = names(&repository().root.join(BOOK));
    pages.retain(|name| name.ends_with(".md"));
    pages.sort();
    pages
}

fn read(name: &str) -> String {
    std::fs::read_to_string(repository().root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn what_pages_point_to_exists() {
    let repository = repository();
    let pages = PAGES.into_iter().map(str::to_owned).chain(book().into_iter().map(|name| format!("{BOOK}/{name}")));
    let wrong: Vec<_> = pages.flat_map(|page| repository.refused(&page, &read(&page))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_summary_lists_every_page() {
    let summary = Page::new(&read(&format!("{BOOK}/SUMMARY.md")));
    let listed: HashSet<_> = summary.links.into_iter().map(|(_, link)| link).collect();
    let missing: Vec<_> = book().into_iter().filter(|page| page != "SUMMARY.md" && !listed.contains(page)).collect();
    assert!(missing.is_empty(), "{BOOK}/SUMMARY.md does not list {missing:?}");
}

/// What is wrong with a text that stands in a page, each with its line.
fn planted(page: &str, text: &str) -> Vec<String> {
    let shown = |sentence: String| sentence.strip_prefix(&format!("{page}:")).expect("the page").to_owned();
    repository().refused(page, text).into_iter().map(shown).collect()
}

#[test]
fn broken_links_are_found() {
    let wrong = planted("README.md", "# Here\n\n[a](docs/src/none.md) [b](#start) [c](#gone)\n![d](docs/none.png)\n");
    assert_eq!(
        wrong,
        [
            "3: `docs/src/none.md`: docs/src/none.md does not exist",
            "3: `#gone`: README.md has no such heading",
            "4: `docs/none.png`: docs/none.png does not exist",
        ]
    );
    assert_eq!(
        planted("docs/src/configs.md", "[a](../../README.md)"),
        ["1: `../../README.md`: it leads out of the book"]
    );
    assert!(planted("README.md", "[a](https://example.org/x) [b](docs/src/SUMMARY.md#summary)").is_empty());
}

#[test]
fn paths_and_configs_that_do_not_exist_are_found() {
    let text = "`framework/src/none.rs` and\n\n```sh\ncargo run\nsecateur run experiment/none\n```\n\n`NONE.md`";
    assert_eq!(
        planted("README.md", text),
        [
            "1: `framework/src/none.rs`: framework/src/none.rs does not exist",
            "5: `experiment/none`: configs/experiment/none.toml does not exist",
            "8: `NONE.md`: NONE.md does not exist",
        ]
    );
    let text = "`framework/src/lib.rs`, `framework/src/NAME.rs`, `docs/src/*.md`, `experiment/quickstart`, `runs/x`, `experiment/NAME`";
    assert!(planted("README.md", text).is_empty());
    assert_eq!(planted("README.md", "`framework/src/NAME.py`").len(), 1);
    // Text that is no code says what it likes.
    assert!(planted("README.md", "framework/src/none.rs").is_empty());
}

#[test]
fn headings_get_the_names_that_renderers_give() {
    assert_eq!(anchor("The flow of a step"), "the-flow-of-a-step");
    assert_eq!(anchor("Contribution rank (USC report, \"x\")"), "contribution-rank-usc-report-x");
}
