"""The network that ProxylessNAS' authors released for CIFAR-10, Proxyless-G: the operations of its 54 trees.

From `proxylessnas/proxyless_cifar.config` of the repository han-cai/files, commit
4d8b7753262d155da0a031727ade162624ebcf97; Cai, Zhu and Han, ICLR 2019, section 4.1. The file gives each of the 648
learnable edges as a layer: IdentityLayer is i; DepthConvLayer is 3, 5 or 7 by its kernel, or d where its dilation is 2;
PoolingLayer is a or m. The sizes are the space's official ones. With it come 5.73M parameters and 1213.2M
multiply-accumulates.
"""

# a line for six blocks, three lines a stage
_G = (
    "7dim7m+555d77-aaai3i+mdi7dd-73ai5a+33add5-a5d53d+d737i7-a5did5+77amim-77mm35+ad37ii-"
    "dimm77+7537ii-d57d57+maa537-75mdii+m3amad-53ii37+357i57-775a35+dadid3-5a5d33+a775d3-"
    "m73m7d+3a5m7i-3md77d+5i3d73-dm3add+a5ii5i-5d5iaa+d55573-7555d3+im7d37-miid3i+757mid-"
    "d5ama7+573aam-7i7di7+d37mm5-ma3did+mm5mia-d73aa3+37iadd-dmam7i+7didam-7m75mi+madim7-"
    "ia55m5+d7addm-3adidd+daa3a3-dm77im+m55m5d-3737ai+m377mm-7775a3+3id3a3-5aiia5+a3a7am-"
    "iad3i7+i7maid-75im7d+mdm777-3m37i3+5i335i-dd37d7+33dimi-mi5i5a+3ai7ad-775mda+775355-"
    "aaaada+75iiia-mia75i+iaii7i-d7m3i5+a3iima-7a57a3+ma3imm-ia7ii7+ia5ma7-d5iim5+7d75id-"
    "miamam+di5a3i-75777a+d3m77a-ddmad3+7iddm5-aamd3m+d7diai-ma7m33+5aidi3-57ddim+m357mi-"
    "73m7da+mmm55m-mia5d3+573377-ia5377+i7773a-553mai+5am55i-3d3mma+imd733-73m75i+5m3m37"
)

RELEASED = {"proxyless-g": _G}
