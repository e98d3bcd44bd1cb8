"""双报到 of units and volunteer teams: agreement, liaison, approval, renewal, exit."""
