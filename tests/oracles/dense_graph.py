"""A slow graph transformer: loops over nodes and edges, one softmax at a time."""

import math

import torch

from models.graph.layers import key_name, masked


def dense_encode(network, graph):
    """Return the last states of all nodes, and each block's totals, by the equations."""
    h = {name: network.enter(name, nodes) for name, nodes in graph.nodes.items()}
    totals = []
    for block in network.blocks:
        first, second, third = block.norms
        speak = {name: first(x) for name, x in h.items()}
        h = {name: h[name] + _local(block.local, speak, graph, name) for name in h}
        asked = {name: second(x) for name, x in h.items()}
        heard, total = _external(block.external, asked)
        totals.append(total)
        h = {name: h[name] + heard[name] for name in h}
        h = {name: x + block.mix(third(x)) for name, x in h.items()}
    return h, totals


def _local(local, speak, graph, name):
    out = torch.zeros_like(speak[name])
    depth = local.depth
    for i in range(len(speak[name])):
        mixed = []
        for head in range(local.heads):
            part = slice(head * depth, (head + 1) * depth)
            query = local.query[name](speak[name][i])[part]
            logits, values = [], []
            for key, edges in graph.edges.items():
                if key[2] != name:
                    continue
                one = key_name(key)
                for e in range(len(edges)):
                    if edges.target[e] != i:
                        continue
                    sender = speak[key[0]][edges.source[e]]
                    k = local.key[key[0]](sender)[part] @ local.relation_key[one][head]
                    v = (
                        local.value[key[0]](sender)[part]
                        @ local.relation_value[one][head]
                    )
                    if one in local.attributes:
                        more = local.attributes[one](
                            masked(edges.x[e : e + 1], edges.known[e : e + 1])
                        )[0]
                        width = len(more) // 2
                        k = k + more[:width][part]
                        v = v + more[width:][part]
                    logits.append(query @ k / math.sqrt(depth) + local.prior[one][head])
                    values.append(v)
            if logits:
                weight = torch.stack(logits).softmax(0)
                mixed.append((weight[:, None] * torch.stack(values)).sum(0))
        heard = torch.cat(mixed) if mixed else torch.zeros_like(out[i])
        out[i] = local.out[name](heard)
    return out


def _external(external, asked):
    """Guo et al. 2021: softmax over the nodes, then divide by the sum over the slots."""
    everyone = torch.cat(list(asked.values()))
    logits = external.query(everyone) @ external.keys.T
    attention = logits.softmax(dim=0)
    attention = attention / attention.sum(dim=1, keepdim=True)
    heard = external.out(attention @ external.values)
    total = logits.exp().sum(0).log() - math.log(len(everyone))
    sizes = [len(x) for x in asked.values()]
    return dict(zip(asked, heard.split(sizes), strict=True)), total
