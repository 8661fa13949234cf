use super::*;

fn share(name: &str, weight: u32) -> WeightedCluster {
    WeightedCluster {
        name: name.to_owned(),
        weight,
        headers: HeaderMutations::default(),
        filters: Vec::new(),
        host_rewrite_literal: None,
    }
}

#[test]
fn shares_follow_their_weights() {
    let specifier =
        ClusterSpecifier::WeightedClusters(vec![share("none", 0), share("one", 1), share("three", 3)]);
    let request = request("h", "/");
    let mut drawn = std::collections::BTreeMap::<&str, u32>::new();
    for random in 0..400 {
        *drawn.entry(specifier.choose(&request, random).unwrap().name).or_default() += 1;
    }
    assert_eq!(drawn, [("one", 100), ("three", 300)].into());
    assert_eq!(specifier.choose(&request, u64::MAX).unwrap().weighted.unwrap().name, "three");
    assert!(ClusterSpecifier::WeightedClusters(Vec::new()).choose(&request, 1).is_none());
}

#[test]
fn header_names_the_cluster() {
    let specifier = ClusterSpecifier::ClusterHeader(FieldName::parse("x-cluster").unwrap());
    let named = with(request("h", "/"), &[("x-cluster", "a"), ("x-cluster", "b")]);
    assert_eq!(specifier.choose(&named, 0).unwrap().name, "a");
    assert!(specifier.choose(&request("h", "/"), 0).is_none());
}
