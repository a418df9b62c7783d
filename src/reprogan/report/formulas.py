"""The formula of each objective, as docs/variants.md has it."""

from reprogan.config import Variant

_D, _G = "D minimises", "G minimises"
_GAMES = {
    "non_saturating": ("−log D(x) − log(1 − D(G(z)))", "−log D(G(z))"),
    "hinge": ("max(0, 1 − D(x)) + max(0, 1 + D(G(z)))", "−D(G(z))"),
    "wasserstein": ("D(G(z)) − D(x)", "−D(G(z))"),
    "relativistic": ("−log σ(D(x) − D(G(z)))", "−log σ(D(G(z)) − D(x))"),
}
_PENALTIES = {"wasserstein": " + λ (|∇D(x̂)| − 1)²", "relativistic": " + γ/2 (|∇D(x)|² + |∇D(G(z))|²)"}
_RECONSTRUCTIONS = {
    "bernoulli": "−Σ (b log σ(ℓ) + (1 − b) log(1 − σ(ℓ)))",
    "squared_error": "Σ (2σ(ℓ) − 1 − x)²",
}


def formula(variant: Variant) -> list[tuple[str, str]]:
    """What is minimised, as (by whom, formula) a line; nothing for a system that is not known here."""
    objective = variant.objective
    loss = str(objective.get("loss"))
    if variant.system == "gan" and loss in _GAMES:
        return _game(*_GAMES[loss], _PENALTIES.get(loss, "") if objective.get("penalty") else "", _told(variant))
    if variant.system == "stackgan":
        return [
            (_D, "½ ℓ(D(x, t), D(G(z, t), t)) + ½ ℓ(D(x, t), D(x, t′)) + penalty"),
            (_G, "its loss + kl_weight · KL(N(μ(t), σ²(t)) ‖ N(0, 1))"),
        ]
    if variant.system == "pix2pix":
        if not objective.get("adversarial"):
            return [(_G, "λ mean |y − G(x, z)|")]
        return [
            (_D, "−log D(x, y) − log(1 − D(x, G(x, z)))"),
            (_G, "−w log D(x, G(x, z)) + λ mean |y − G(x, z)|"),
        ]
    return [("It minimises", text) for text in _alone(variant, loss)]


def _alone(variant: Variant, loss: str) -> list[str]:
    """The formula of a system without an adversary."""
    reconstruction = _RECONSTRUCTIONS.get(loss)
    if variant.system == "autoencoder" and reconstruction:
        return [reconstruction]
    if variant.system == "vae" and reconstruction:
        return [f"E[{reconstruction}] + kl_weight · KL(q(z|x) ‖ N(0, 1))"]
    return {
        "classifier": ["−log softmax(l)[label]"],
        "features": ["−mean(t log σ(l) + (1 − t) log(1 − σ(l))), or without attributes mean |x̃ − x|²"],
        "contrastive": ["−½ mean of log (exp(s_ii / τ) / Σ_j exp(s_ij / τ)) + log (exp(s_ii / τ) / Σ_j exp(s_ji / τ))"],
    }.get(variant.system, [])


def _told(variant: Variant) -> bool:
    return variant.architecture == "cgan" or variant.network.get("condition", "none") != "none"


def _game(of_d: str, of_g: str, penalty: str, told: bool) -> list[tuple[str, str]]:
    lines = [(_D, of_d + penalty), (_G, of_g)]
    if told:
        lines = [(who, text.replace("D(x)", "D(x, y)").replace("D(G(z))", "D(G(z, y), y)")) for who, text in lines]
    return lines
