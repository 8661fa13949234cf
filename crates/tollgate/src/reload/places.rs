//! Where changes of paths can be seen.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The directories in which a change of a path, or of a folder's content, can be seen: those that hold them, and those
/// that hold the links on the way to them.
pub(super) fn of<'a>(paths: impl Iterator<Item = &'a Path>, folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = BTreeSet::new();
    for path in paths {
        let Ok(path) = std::path::absolute(path) else { continue };
        add(&path, &mut places);
        // A link can lead to another one; what changes on the way between them is found by looking.
        if let Ok(target) = fs::canonicalize(&path)
            && target != path
        {
            add(&target, &mut places);
        }
    }
    places.extend(folders.iter().filter_map(|folder| std::path::absolute(folder).ok()));
    places.into_iter().collect()
}

fn add(path: &Path, places: &mut BTreeSet<PathBuf>) {
    let parents = path.ancestors().zip(path.ancestors().skip(1));
    for (index, (path, parent)) in parents.enumerate() {
        let is_link = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if index == 0 || is_link() {
            places.insert(parent.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_watched_where_they_are() {
        let root = std::env::temp_dir().join(format!("tollgate-{}-places", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("releases/1/conf")).unwrap();
        fs::write(root.join("releases/1/conf/gateway.yaml"), "").unwrap();
        symlink("releases/1", root.join("current")).unwrap();
        let root = fs::canonicalize(root).unwrap();
        let path = root.join("current/conf/gateway.yaml");
        let folder = root.join("current");
        let places = of([path.as_path()].into_iter(), std::slice::from_ref(&folder));
        let expected =
            [root.clone(), folder, root.join("current/conf"), root.join("releases/1/conf")].map(Some);
        assert_eq!(places.into_iter().map(Some).collect::<Vec<_>>(), expected);
        fs::remove_dir_all(root).unwrap();
    }
}
