"""What members and communities do about check-ins, by verb."""
