//! The recipes in the documentation are whole configurations.

use super::*;

/// The YAML of each recipe in the documentation, in order.
fn recipes() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let chapter = text
        .split("\n## ")
        .find(|chapter| chapter.starts_with("Ten recipes"));
    let blocks = chapter.unwrap().split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn each_of_the_ten_recipes_is_a_whole_configuration() {
    let machine = Equipped::new();
    let recipes = recipes();
    assert_eq!(recipes.len(), 10);
    for (index, recipe) in recipes.iter().enumerate() {
        let number = index + 1;
        match config::parse(recipe, &machine) {
            Err(error) => panic!("recipe {number}:\n{error}\n{recipe}"),
            Ok(loaded) => {
                // Doubts there may be; a recipe that only half works is none.
                let doubts = loaded.warnings.join("\n");
                for word in [
                    "is above",
                    "unencrypted",
                    "holds a literal",
                    "the only upstream",
                    "not in a local network",
                ] {
                    assert!(!doubts.contains(word), "recipe {number}: {doubts}");
                }
            }
        }
    }
}
