use super::*;
use crate::app::setup::Setup;
use crate::domain::money::Money;

fn config(text: &str) -> Config {
    let page = "gpu: [{name: page, url: \"http://127.0.0.1:9400/metrics\"}]\n";
    let setup = Setup::from_text(&format!("{page}{text}"), std::iter::empty());
    setup.unwrap_or_else(|problems| panic!("{problems}")).config
}

fn watched(name: &str, cluster: &str) -> Node {
    Node {
        name: name.to_owned(),
        provider: Some(Provider::Aws),
        cluster: cluster.to_owned(),
        instance_type: Some("p5.48xlarge".to_owned()),
        region_id: Some("us-east-1".to_owned()),
        zone: Some("us-east-1a".to_owned()),
        capacity_type: CapacityType::Spot,
        gpus: Some(8),
        hourly_cost: None,
    }
}

#[test]
fn what_is_declared_of_a_node_stands_and_its_labels_tell_the_rest() {
    let config = config(
        "kubernetes: [{cluster: train}]\n\
         nodes:\n\
         - {name: a, cluster: train, capacity_type: reserved, gpus: 7, hourly_cost: 30 USD}\n\
         - {name: a, cluster: attic}\n",
    );
    let nodes = [watched("a", "train"), watched("b", "train")];
    let told = Told { cluster: "train", nodes: nodes.iter().collect(), is_whole: true };
    let inventory = joined(&config, &[told]);
    let node = inventory.find("train", "a").unwrap();
    assert_eq!((node.capacity_type, node.gpus), (CapacityType::Reserved, Some(7)));
    assert_eq!(node.hourly_cost, "30 USD".parse::<Money>().ok());
    assert_eq!(node.provider, Some(Provider::Aws));
    assert_eq!(node.instance_type.as_deref(), Some("p5.48xlarge"));
    assert_eq!(node.zone.as_deref(), Some("us-east-1a"));
    assert_eq!(inventory.find("train", "b"), Some(&nodes[1]));
    assert_eq!(inventory.find("attic", "a").unwrap().instance_type, None, "another cluster's");
}

#[test]
fn a_watched_cluster_is_whole_while_its_api_tells_of_it() {
    let config = config(
        "kubernetes: [{cluster: train}, {cluster: unwatched, nodes: false}]\n\
         nodes:\n\
         - {name: own, cluster: train}\n\
         - {name: own-2, cluster: attic}\n\
         - {name: own-3, cluster: unwatched}\n",
    );
    let of = |is_whole| joined(&config, &[Told { cluster: "train", nodes: Vec::new(), is_whole }]);
    for is_whole in [true, false] {
        let inventory = of(is_whole);
        for provider in [None, Some(Provider::Aws), Some(Provider::Gcp)] {
            assert_eq!(inventory.knows(provider, "train"), is_whole, "{provider:?}");
        }
        assert!(inventory.knows(None, "attic"), "declared nodes are all of theirs");
        assert!(inventory.knows(None, "unwatched"), "declared nodes are all of theirs");
        assert_eq!(inventory.nodes().len(), 3);
    }
    let before = joined(&config, &[]);
    assert!(!before.knows(None, "train"), "nothing is known of it yet");
}
