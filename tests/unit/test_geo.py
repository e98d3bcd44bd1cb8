"""The shifted grid."""

import math

import pytest

from dispatch.domain.geo import (
    Point,
    gcj02_to_wgs84,
    in_both,
    metres_between,
    outside_china,
    wgs84_to_gcj02,
)

TIANANMEN = Point(116.397477, 39.908692)
PLACES = [TIANANMEN, Point(112.938882, 28.228304), Point(87.6, 43.8), Point(110.3, 20.0), Point(126.6, 45.8)]


def metres(one: Point, other: Point) -> float:
    north = (one.lat - other.lat) * 111_320
    east = (one.lng - other.lng) * 111_320 * math.cos(math.radians(one.lat))
    return math.hypot(north, east)


def test_the_shift_is_the_one_that_all_converters_share():
    shifted = wgs84_to_gcj02(Point(116.404, 39.915))  # the example of the published converters

    assert shifted.lng == pytest.approx(116.41024449916938, abs=1e-9)
    assert shifted.lat == pytest.approx(39.91640428150164, abs=1e-9)


@pytest.mark.parametrize("place", PLACES)
def test_there_and_back_is_the_same_place(place):
    assert metres(gcj02_to_wgs84(wgs84_to_gcj02(place)), place) < 0.001


@pytest.mark.parametrize("place", PLACES)
def test_the_shift_is_some_hundred_metres(place):
    assert 50 < metres(wgs84_to_gcj02(place), place) < 800


@pytest.mark.parametrize("place", [Point(2.35, 48.86), Point(0, 0), Point(-180, -90), Point(151.2, -33.9)])
def test_outside_china_nothing_is_shifted(place):
    assert outside_china(place)
    assert gcj02_to_wgs84(place) == place == wgs84_to_gcj02(place)


def test_ways_over_the_ground_are_those_of_the_flat_map_nearby_and_known_ones_far_away():
    near = Point(TIANANMEN.lng + 0.001, TIANANMEN.lat + 0.001)
    assert metres_between(TIANANMEN, near) == pytest.approx(metres(TIANANMEN, near), rel=0.005)
    assert metres_between(TIANANMEN, Point(121.473667, 31.230525)) == pytest.approx(1_067_000, rel=0.005)
    assert metres_between(TIANANMEN, TIANANMEN) == 0
    assert metres_between(Point(0, 0), Point(180, 0)) == pytest.approx(math.pi * 6371008.8)


def test_a_point_is_kept_as_it_was_given_and_in_the_grid_that_is_measured_in():
    maps = {"lng": 116.41024449916938, "lat": 39.91640428150164, "crs": "gcj02"}
    assert in_both(maps) == {**maps, "wgs84": {"lng": 116.404, "lat": 39.915}}
    receiver = {"lng": 116.404, "lat": 39.915, "crs": "wgs84"}
    assert in_both(receiver) == {**receiver, "wgs84": {"lng": 116.404, "lat": 39.915}}
    assert in_both(None) is None
