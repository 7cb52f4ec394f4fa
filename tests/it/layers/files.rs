//! The dependencies between the files of a crate: cycles, and imports through the re-exports of a folder.
//!
//! A path leads to the file that defines its name: it is followed through the imports of the files on its way.
//! Declaring a file or re-exporting its names is no dependency. Globs are not followed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::mentions::{Mention, Place, Reader};

/// The most imports through which a path is followed, because a name may import itself.
const MAX_IMPORTS: usize = 8;

/// The paths that each file of a crate mentions, by its module. The root's name is empty.
pub(super) struct Files(BTreeMap<String, Vec<Mention>>);

/// Where a path leads.
struct Route {
    /// The file that defines the name.
    file: String,
    /// The files whose imports led there.
    faces: Vec<String>,
}

/// For each file the files that it needs, each with the line that says so first.
type Needs = BTreeMap<String, BTreeMap<String, usize>>;

impl Files {
    /// Reads sources by their module.
    pub(super) fn read<'a>(sources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mentions = |module, source: &str| {
            let tokens = source.parse().unwrap_or_else(|_| panic!("{module} does not parse"));
            Reader::read(module, tokens).mentions
        };
        Self(
            sources
                .into_iter()
                .map(|(module, source)| (module.to_owned(), mentions(module, source)))
                .collect(),
        )
    }

    /// One circle of each group of files that need each other, as `a:3 -> b:5 -> a`.
    pub(super) fn circles(&self) -> Vec<String> {
        let needs = self.needs();
        let mut told = BTreeSet::new();
        let mut circles = Vec::new();
        for file in needs.keys() {
            if let Some(circle) = circle(&needs, file)
                && !told.contains(file.as_str())
            {
                circles.push(text(&needs, &circle));
                told.extend(group(&needs, file));
            }
        }
        circles
    }

    /// Every path that leads through the re-export of a folder around it, to a file of that folder.
    pub(super) fn through_faces(&self) -> Vec<String> {
        let mut found = Vec::new();
        // Where an imported name is used, the import has said already how it came.
        for (file, mention) in self.mentions().filter(|(_, mention)| mention.absolute().is_some()) {
            for Route { file: to, faces } in self.routes(file, mention) {
                let is_around = |face: &&String| is_within(file, face) && is_within(&to, face);
                if let Some(face) = faces.iter().find(is_around) {
                    let path = mention.path.join("::");
                    let face = display(face);
                    found.push(format!("{file}:{}: `{path}` leads through `{face}` to `{to}`", mention.line));
                }
            }
        }
        found
    }

    fn needs(&self) -> Needs {
        let mut needs: Needs = self.0.keys().map(|file| (file.clone(), BTreeMap::new())).collect();
        for (file, mention) in self.mentions() {
            if matches!(mention.place, Place::Reexport(_)) {
                continue;
            }
            for route in self.routes(file, mention).into_iter().filter(|route| route.file != file) {
                needs.entry(file.to_owned()).or_default().entry(route.file).or_insert(mention.line);
            }
        }
        needs
    }

    fn mentions(&self) -> impl Iterator<Item = (&str, &Mention)> {
        self.0
            .iter()
            .flat_map(|(file, mentions)| mentions.iter().map(move |mention| (file.as_str(), mention)))
    }

    fn routes(&self, file: &str, mention: &Mention) -> Vec<Route> {
        let mut routes = Vec::new();
        if mention.path[0] != "$crate"
            && let Some(path) = self.absolute(file, mention)
        {
            self.follow(&path, &[], &mut routes);
        }
        routes
    }

    /// The path from the root of the crate, of what is relative too: a name that is imported, a child.
    fn absolute(&self, file: &str, mention: &Mention) -> Option<Vec<String>> {
        let head = &mention.path[0];
        if head == "hookwire" {
            // A crate need not mention its own name. To the others it is an external crate.
            return None;
        }
        // One name by itself may be a variable or a field, but not if it is the name of a type.
        let is_path = mention.path.len() > 1 || head.starts_with(char::is_uppercase);
        let is_child =
            || (is_path || mention.imported().is_some()) && self.0.contains_key(&join(&mention.module, head));
        let is_imported =
            || is_path && mention.imported().is_none() && self.imports(file, head).next().is_some();
        mention.absolute().or_else(|| {
            (is_child() || is_imported()).then(|| [&mention.module[..], &mention.path[..]].concat())
        })
    }

    /// The imports of a file that bring a name into it.
    fn imports<'a>(&'a self, file: &str, name: &'a str) -> impl Iterator<Item = &'a Mention> + use<'a> {
        let mentions = self.0.get(file).map_or(&[][..], Vec::as_slice);
        let is_import = move |mention: &&Mention| mention.imported() == Some(name) && mention.path != [name];
        mentions.iter().filter(is_import)
    }

    /// Finds the files that define what the path names; several, where features choose between them.
    fn follow(&self, path: &[String], faces: &[String], routes: &mut Vec<Route>) {
        let is_file = |length: &usize| self.0.contains_key(&path[..*length].join("::"));
        let Some(length) = (0..=path.len()).rev().find(is_file) else { return };
        let (file, rest) = (path[..length].join("::"), &path[length..]);
        let name = rest.first().map_or("", |name| name.trim_end_matches('!'));
        let mut imports = self.imports(&file, name).peekable();
        if imports.peek().is_none() {
            return routes.push(Route { file, faces: faces.to_vec() });
        }
        if faces.len() == MAX_IMPORTS {
            return;
        }
        let faces = [faces, std::slice::from_ref(&file)].concat();
        for import in imports {
            if let Some(path) = self.absolute(&file, import) {
                self.follow(&[&path[..], &rest[1..]].concat(), &faces, routes);
            }
        }
    }
}

/// The shortest circle that starts at a file, without the end that is the file again.
fn circle<'a>(needs: &'a Needs, start: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in needs[way[way.len() - 1]].keys() {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

/// All files that are in a circle with this one.
fn group<'a>(needs: &'a Needs, file: &'a str) -> Vec<&'a str> {
    let below = reached(needs, file);
    below.iter().copied().filter(|other| reached(needs, other).contains(file)).collect()
}

fn reached<'a>(needs: &'a Needs, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        open.extend(needs[file].keys().map(String::as_str).filter(|next| reached.insert(*next)));
    }
    reached
}

fn text(needs: &Needs, circle: &[&str]) -> String {
    let next = circle.iter().cycle().skip(1);
    let steps: Vec<_> = circle
        .iter()
        .zip(next)
        .map(|(file, next)| format!("{}:{}", display(file), needs[*file][*next]))
        .collect();
    format!("{} -> {}", steps.join(" -> "), display(circle[0]))
}

fn display(module: &str) -> &str {
    if module.is_empty() { "crate" } else { module }
}

fn join(module: &[String], name: &str) -> String {
    [module, &[name.to_owned()]].concat().join("::")
}

/// Whether a module is below another.
pub(super) fn is_within(module: &str, around: &str) -> bool {
    let rest = module.strip_prefix(around);
    !module.is_empty() && rest.is_some_and(|rest| around.is_empty() || rest.starts_with("::"))
}
