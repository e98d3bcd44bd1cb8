"""Coordinates: the shifted grid of Chinese maps (GCJ-02) and the one that satellites speak (WGS-84).

Maps and place pickers in China give GCJ-02, receivers give WGS-84, some 50 to 700 m apart. The shift is
the formula that all open converters share; GCJ-02 has no official one.
"""

from collections.abc import Mapping
from math import asin, cos, pi, radians, sin, sqrt
from typing import Any, NamedTuple

SEMI_MAJOR_AXIS = 6378245.0  # Krasovsky 1940, metres
ECCENTRICITY_SQUARED = 0.00669342162296594323
EARTH_RADIUS = 6371008.8  # mean, metres (IUGG)
SMALLEST_STEP = 1e-9  # degrees, about 0.1 mm
MOST_ROUNDS = 10  # three are enough anywhere in China


class Point(NamedTuple):
    """Degrees, longitude first."""

    lng: float
    lat: float


def metres_between(one: Point, other: Point) -> float:
    """The way between two WGS-84 points over the ground, in metres (haversine; off by 0.5 % at most)."""
    north, east = radians(other.lat - one.lat), radians(other.lng - one.lng)
    half = sin(north / 2) ** 2 + cos(radians(one.lat)) * cos(radians(other.lat)) * sin(east / 2) ** 2
    return 2 * EARTH_RADIUS * asin(min(1.0, sqrt(half)))


def outside_china(point: Point) -> bool:
    """Whether a point lies outside the rectangle in which the shift applies."""
    return not (72.004 <= point.lng <= 137.8347 and 0.8293 <= point.lat <= 55.8271)


def wgs84_to_gcj02(point: Point) -> Point:
    """Shift a WGS-84 point as Chinese maps do; points outside China come back as they are."""
    if outside_china(point):
        return point
    shift = _shift(point)
    return Point(point.lng + shift.lng, point.lat + shift.lat)


def gcj02_to_wgs84(point: Point) -> Point:
    """The WGS-84 point that the maps show at a GCJ-02 point, found by iteration to under a millimetre.

    Points outside China come back as they are.
    """
    if outside_china(point):
        return point
    guess = point
    for _ in range(MOST_ROUNDS):
        shift = _shift(guess)
        better = Point(point.lng - shift.lng, point.lat - shift.lat)
        done = abs(better.lng - guess.lng) < SMALLEST_STEP and abs(better.lat - guess.lat) < SMALLEST_STEP
        guess = better
        if done:
            break
    return guess


def in_both(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A point as it is stored: ``{lng, lat, crs}`` as it was given, and the same in WGS-84 to measure with."""
    if not given:
        return None
    point = Point(given["lng"], given["lat"])
    lng, lat = gcj02_to_wgs84(point) if given["crs"] == "gcj02" else point
    return {**given, "wgs84": {"lng": round(lng, 7), "lat": round(lat, 7)}}


def _shift(point: Point) -> Point:
    """How far the maps move a WGS-84 point, in degrees."""
    x, y = point.lng - 105.0, point.lat - 35.0
    waves = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + waves
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + waves
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    angle = point.lat / 180.0 * pi
    flat = 1 - ECCENTRICITY_SQUARED * sin(angle) ** 2
    metres_per_radian_north = SEMI_MAJOR_AXIS * (1 - ECCENTRICITY_SQUARED) / (flat * sqrt(flat))
    metres_per_radian_east = SEMI_MAJOR_AXIS / sqrt(flat) * cos(angle)
    return Point(east * 180.0 / (metres_per_radian_east * pi), north * 180.0 / (metres_per_radian_north * pi))
