"""What two pages share: state, errors, numbers, pictures, jobs, galleries, the card of a cell."""
