"""Send a task to the worker, from inside a session."""

from tasks import book_hotel

from helicone_otel import session, step

with session("Trip Planning") as trip, step("book"):
    book_hotel.delay("Porto")

print("session:", trip.id)
