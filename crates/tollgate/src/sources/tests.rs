use std::os::unix::fs::symlink;

use super::*;

/// A folder that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-{}-sources-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn names(&self, sources: &Sources) -> Vec<String> {
        let name =
            |source: &Source| Path::new(&source.path).strip_prefix(&self.0).unwrap().display().to_string();
        sources.texts.iter().map(name).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn folders_are_read_in_the_order_of_names_with_the_folders_in_them() {
    let scratch = Scratch::new("order");
    for name in ["b.yml", "a.YAML", "c.json", "d/e/f.yaml", "notes.txt", "yaml", "b.yaml.bak"] {
        scratch.write(name, name);
    }
    let sources = Sources::read(std::slice::from_ref(&scratch.0));
    assert_eq!(scratch.names(&sources), ["a.YAML", "b.yml", "c.json", "d/e/f.yaml"]);
    assert_eq!(sources.folders.len(), 3);
    assert!(sources.problems().is_empty());
    let sources = Sources::read(&[scratch.0.join("notes.txt"), scratch.0.join("d")]);
    assert_eq!(scratch.names(&sources), ["notes.txt", "d/e/f.yaml"], "a file is read whatever its name");
}

/// A mounted ConfigMap: every file once.
#[test]
fn what_begins_with_a_dot_is_left_out() {
    let scratch = Scratch::new("volume");
    scratch.write("..2024_01/gateway.yaml", "one");
    symlink("..2024_01", scratch.0.join("..data")).unwrap();
    symlink("..data/gateway.yaml", scratch.0.join("gateway.yaml")).unwrap();
    let sources = Sources::read(std::slice::from_ref(&scratch.0));
    assert_eq!(scratch.names(&sources), ["gateway.yaml"]);
    assert_eq!(sources.texts[0].text, "one");
}

#[test]
fn what_cannot_be_read_is_a_problem_with_its_path() {
    let scratch = Scratch::new("unreadable");
    fs::write(scratch.0.join("binary.yaml"), [0xff]).unwrap();
    let missing = scratch.0.join("missing.yaml");
    let problems = Sources::read(&[scratch.0.clone(), missing.clone()]).problems();
    let said: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert!(said[0].contains("not UTF-8"), "{said:?}");
    assert!(said.last().unwrap().starts_with("the file cannot be read: "), "{said:?}");
    assert_eq!(problems.last().unwrap().place.file(), missing.to_str());
}

/// Links can make circles, and ever more ways to the same folder.
#[test]
fn every_folder_is_read_once() {
    let scratch = Scratch::new("links");
    scratch.write("a/gateway.yaml", "one");
    for link in ["a/again", "a/and-again", "b"] {
        symlink(&scratch.0, scratch.0.join(link)).unwrap();
    }
    let sources = Sources::read(std::slice::from_ref(&scratch.0));
    assert_eq!(scratch.names(&sources), ["a/gateway.yaml"]);
    assert_eq!((sources.folders.len(), sources.problems().len()), (2, 0));
}

#[test]
fn more_entries_than_any_configuration_has_are_not_looked_at() {
    let scratch = Scratch::new("entries");
    for folder in 0..3 {
        scratch.write(&format!("{folder}/x"), "");
    }
    assert_eq!(entries(&scratch.0, 2).unwrap().len(), 2);
}

/// Who opens a pipe waits for somebody at the other end.
#[test]
fn a_pipe_is_not_opened() {
    let scratch = Scratch::new("pipe");
    let pipe = scratch.0.join("pipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let problems = Sources::read(std::slice::from_ref(&scratch.0)).problems();
    assert!(problems[0].message.ends_with("not a regular file"), "{problems:?}");
}
