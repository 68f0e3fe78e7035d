//! The strongly connected components of a graph, for the order in which the operations of a bulk request are done (RFC 7644
//! §3.7.1): what refers to each other in a circle is one component.

/// The strongly connected components of a graph, each after those that it needs (Tarjan's algorithm, without recursion: a
/// request may hold a chain as long as itself). The members of one are in order.
pub(crate) fn components(needs: &[&[usize]]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut seen_as = vec![UNSEEN; needs.len()];
    // The earliest seen node that is reachable from a node and not in a component yet.
    let mut reaches = vec![UNSEEN; needs.len()];
    let (mut seen, mut waiting, mut is_waiting) = (0, Vec::new(), vec![false; needs.len()]);
    let mut found = Vec::new();
    for root in 0..needs.len() {
        let mut path = if seen_as[root] == UNSEEN { vec![(root, 0)] } else { continue };
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if *next == 0 {
                (seen_as[node], reaches[node], is_waiting[node]) = (seen, seen, true);
                waiting.push(node);
                seen += 1;
            }
            // Steps over what is known already and stops at the first that is not.
            let unseen = needs[node].iter().skip(*next).position(|needed| {
                if is_waiting[*needed] {
                    reaches[node] = reaches[node].min(seen_as[*needed]);
                }
                seen_as[*needed] == UNSEEN
            });
            if let Some(steps) = unseen {
                let needed = needs[node][*next + steps];
                *next += steps + 1;
                path.push((needed, 0));
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                reaches[*parent] = reaches[*parent].min(reaches[node]);
            }
            if reaches[node] == seen_as[node] {
                let first = waiting.iter().rposition(|other| *other == node).expect("a node waits until its component is found");
                let mut component = waiting.split_off(first);
                component.iter().for_each(|member| is_waiting[*member] = false);
                component.sort_unstable();
                found.push(component);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_keep_their_order_and_what_they_refer_to_comes_before_them() {
        assert_eq!(components(&[&[], &[], &[]]), [[0], [1], [2]]);
        assert_eq!(components(&[&[2], &[], &[]]), [[2], [0], [1]]);
        assert_eq!(components(&[&[1, 3], &[3], &[0], &[]]), [[3], [1], [0], [2]]);
    }

    #[test]
    fn a_circle_is_one_unit() {
        assert_eq!(components(&[&[1], &[0]]), [vec![0, 1]]);
        assert_eq!(components(&[&[2], &[0], &[1, 3], &[]]), [vec![3], vec![0, 1, 2]]);
        assert_eq!(components(&[&[0], &[0]]), [[0], [1]]);
    }

    #[test]
    fn long_chains_and_large_circles_are_no_recursion() {
        const LENGTH: usize = 200_000;
        let next: Vec<[usize; 1]> = (0..LENGTH).map(|index| [(index + 1) % LENGTH]).collect();
        let mut needs: Vec<&[usize]> = next.iter().map(<[usize; 1]>::as_slice).collect();
        assert_eq!(components(&needs).len(), 1);
        needs[LENGTH - 1] = &[];
        let chain = components(&needs);
        assert!(chain.iter().rev().enumerate().all(|(index, unit)| *unit == [index]));
    }

    proptest::proptest! {
        #[test]
        fn every_operation_is_in_one_unit_and_after_what_it_needs(
            edges in proptest::collection::vec((0..12_usize, 0..12_usize), 0..40),
        ) {
            let mut needs = vec![Vec::new(); 12];
            edges.iter().for_each(|(from, to)| needs[*from].push(*to));
            let graph: Vec<&[usize]> = needs.iter().map(Vec::as_slice).collect();
            let units = components(&graph);
            let place = |operation: usize| units.iter().position(|unit| unit.contains(&operation)).expect("it is in a unit");
            assert_eq!(units.iter().map(Vec::len).sum::<usize>(), 12);
            let reaches = |from: usize, to: usize| {
                let (mut known, mut open) = (vec![false; 12], vec![from]);
                while let Some(node) = open.pop() {
                    if !std::mem::replace(&mut known[node], true) {
                        open.extend(&needs[node]);
                    }
                }
                known[to]
            };
            for (from, needed) in needs.iter().enumerate() {
                assert!(needed.iter().all(|needed| place(*needed) <= place(from)));
                for to in 0..12 {
                    assert_eq!(place(from) == place(to), reaches(from, to) && reaches(to, from), "{from} {to}");
                }
            }
        }
    }
}
