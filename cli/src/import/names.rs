//! Converts names of other systems.

use conductor::language::parse::name::{is_name, is_ref};
use std::path::Path;

/// Returns the ref of a workflow by its file: `packs/shop/actions/workflows/Order.yaml` is `shop.order`.
pub fn reference_of(file: &Path) -> String {
    // A file without a name of its own.
    if file == Path::new("-") {
        return "imported.workflow".to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folders: Vec<String> = file
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let pack = folders
        .iter()
        .rposition(|folder| folder == "actions")
        .and_then(|at| at.checked_sub(1))
        .map(|at| folders[at].clone());
    let pack = pack
        .map(|pack| lower(&pack))
        .filter(|pack| pack.len() > 1 && pack.starts_with(|c: char| c.is_ascii_lowercase()));
    format!("{}.{}", pack.unwrap_or_else(|| "imported".to_owned()), lower(&stem))
}

/// Returns the ref of an action in lower case, and whether that changes it, or `None` if it can't be a ref.
pub fn action(reference: &str) -> Option<(String, bool)> {
    let lowered = reference.trim().to_lowercase();
    is_ref(&lowered).then(|| (lowered.clone(), lowered != reference))
}

/// Returns a name that a task or variable may have.
pub fn name(text: &str) -> String {
    if is_name(text) {
        return text.to_owned();
    }
    let mapped: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if is_name(&mapped) { mapped } else { format!("t_{mapped}") }
}

fn lower(text: &str) -> String {
    let text = text.to_lowercase();
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_pack_and_workflow() {
        assert_eq!(reference_of(Path::new("packs/Shop/actions/workflows/Order v2.yaml")), "shop.order_v2");
        assert_eq!(reference_of(Path::new("order.yaml")), "imported.order");
        assert_eq!(reference_of(Path::new("-")), "imported.workflow");
        assert_eq!(action("Core.Local"), Some(("core.local".to_owned(), true)));
        assert_eq!(action("local"), None);
        assert_eq!(name("1 x"), "t_1_x");
    }
}
