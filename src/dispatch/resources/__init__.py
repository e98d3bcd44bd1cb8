"""资源清单, 需求清单 and 双向认领: what units and communities offer and ask for, and who claims it."""
