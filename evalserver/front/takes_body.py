"""The answer of a view that takes its request's body piece by piece, and is complete when the body has ended."""

from django.http import HttpRequest, HttpResponse

# In request.META: the body is not there yet, and the view may answer with `TakesBody`.
BODY_COMES_LATER = "evalserver.body_comes_later"
PIECE_BYTES = 2**18


class TakesBody(HttpResponse):
    """Whoever gets it calls `take` for each piece until that answers, else `finish` once. Neither raises."""

    def take(self, piece: bytes) -> HttpResponse | None:
        """The answer, if nothing more is wanted."""
        raise NotImplementedError

    def finish(self, *, complete: bool) -> HttpResponse:
        """The answer at the end of the body. complete : nothing is missing of what was announced."""
        raise NotImplementedError

    def read_all(self, request: HttpRequest) -> HttpResponse:
        """For servers that hand the body to the view."""
        while True:
            try:
                piece = request.read(PIECE_BYTES)
            except OSError:  # reset, or timed out
                return self.finish(complete=False)
            if not piece:
                return self.finish(complete=True)
            answer = self.take(piece)
            if answer is not None:
                return answer
