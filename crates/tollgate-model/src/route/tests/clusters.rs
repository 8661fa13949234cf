use super::*;

fn share(name: &str, weight: u32) -> WeightedCluster {
    WeightedCluster::new(WeightedAction::Cluster(name.to_owned()), weight, FilterOverrides::default())
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
    assert_eq!(specifier.choose(&request, u64::MAX).unwrap().weighted.unwrap().weight, 3);
    let drawing: Vec<_> = (0..4).map(|index| specifier.drawing(index)).collect();
    assert_eq!(drawing, [None, Some(0), Some(1), None]);
    assert!(ClusterSpecifier::WeightedClusters(Vec::new()).choose(&request, 1).is_none());
}

/// Dialects 9.6: an invalid backend has its share of the requests.
#[test]
fn shares_without_a_cluster() {
    let invalid = WeightedAction::DirectResponse(DirectResponse {
        body_format: None,
        status: StatusCode::INTERNAL_SERVER_ERROR,
        body: Bytes::new(),
    });
    let specifier = ClusterSpecifier::WeightedClusters(vec![
        WeightedCluster::new(invalid, 1, FilterOverrides::default()),
        share("valid", 1),
    ]);
    let request = request("h", "/");
    let chosen = (0..10).filter_map(|random| specifier.choose(&request, random)).count();
    assert_eq!(chosen, 5);
    assert!((0..10).all(|random| specifier.share(random).is_some()));
}

#[test]
fn header_names_the_cluster() {
    let specifier = ClusterSpecifier::ClusterHeader(FieldName::parse("x-cluster").unwrap());
    let named = with(request("h", "/"), &[("x-cluster", "a"), ("x-cluster", "b")]);
    assert_eq!(specifier.choose(&named, 0).unwrap().name, "a");
    assert!(specifier.choose(&request("h", "/"), 0).is_none());
}
